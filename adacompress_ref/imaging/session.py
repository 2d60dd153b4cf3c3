"""Open an ONNX file on ONNX Runtime: one place for its options and its errors."""

from __future__ import annotations

import os
from typing import Any

# Version 1.29 and later, once imported, report to their maker and keep an identifier in ~/.cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from ..storage.files import reason


class ModelError(ValueError):
    """An ONNX file cannot be used."""


def open_session(
    path: str | os.PathLike[str], threads: int | None = None, model: bytes | None = None
) -> Any:
    """An inference session on the CPU with `threads` threads (None: one a core).

    Of the file, or of a `model` made of it. Raises ModelError if it is missing or not a model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors come back as exceptions, and print nothing
    if threads is not None:
        options.intra_op_num_threads = threads
    # Its threads wait for work by spinning: after a run for 0.3 ms, not 50, at the same speed.
    # Older versions do not know this entry, and pass it over.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "300")
    try:
        return onnxruntime.InferenceSession(
            model or os.fspath(path),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # to the same provider, with lines on standard output
        )
    except Exception as error:  # its exceptions share no base class
        raise ModelError(f"{path}: not a usable ONNX model ({reason(error)})") from error
