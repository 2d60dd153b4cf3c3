"""Arrays and JSON values in one .npz file: how agents, tables and states are kept. NumPy alone."""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

import numpy as np


def save_arrays(
    path: str | os.PathLike[str], description: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write arrays and JSON values to one .npz, whole or not at all. Raises OSError."""
    partial = f"{os.fspath(path)}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            text = json.dumps(description, sort_keys=True)
            np.savez(file, description=np.array(text), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The inverse of `save_arrays`; raises whatever numpy and json do for a damaged file."""
    if os.path.exists(path) and not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz archive")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("description"))), arrays
