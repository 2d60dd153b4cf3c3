"""A line of a run's log, and what may be read from many: totals, times, and what was learned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.controller import Label
from ..imaging.read import Photo
from ..services import RefusedError, Service, called
from .pilot import AdaCompress
from .results import Result

_OF_IMAGE = ("image", "sha256", "error", "bytes", "answered_by", "labels", "compressed_labels")
_SIZES = ("bytes_sent", "reference_bytes", "original_bytes")
_OF_RESULT = ("state", "encoding", "quality", *_SIZES, "fault")
_OF_STEP = ("accuracy", "agreement", "reward", "mean_accuracy", "p_est", "epsilon", "alpha")
FIELDS = _OF_IMAGE + _OF_RESULT + _OF_STEP
TIMES = ("decision", "encode", "upload", "total")  # seconds
_MOST = 1e12  # bytes or seconds of one image
BEST_LABELS = 5  # that are logged: all that AC-1 looks at


def failure(image: str, sha256: str | None, error: Exception) -> dict[str, Any]:
    """The line of an image that has no answer and never will."""
    return dict.fromkeys(FIELDS) | {"image": image, "sha256": sha256, "error": str(error)}


def answer(image: str, sha256: str, result: Result) -> dict[str, Any]:
    """The line of an image that was answered."""
    step = result.step
    assert step is not None
    by_reference = step.reference is not None and step.reference.labels is not None
    return dict.fromkeys(FIELDS) | {
        "image": image,
        "sha256": sha256,
        "bytes": step.compressed.size,
        "answered_by": "reference" if by_reference else "compressed",
        "labels": _written(step.labels),
        "compressed_labels": _written(step.compressed.labels) if by_reference else None,
        **{name: getattr(result, name) for name in _OF_RESULT},
        **{name: getattr(step, name) for name in _OF_STEP},
    }


def _written(labels: Iterable[Label] | None) -> list[list[Any]] | None:
    return None if labels is None else [list(label) for label in labels][:BEST_LABELS]


def check(line: dict[str, Any]) -> None:
    """Raises ValueError naming the field where this is no line that `answer` or `failure` made."""
    missing = set(FIELDS) - line.keys()
    if missing:
        raise ValueError(f"has no {min(missing)}")
    if not isinstance(line["image"], str):
        raise ValueError(f"image is {line['image']!r:.40}")
    if line["error"] is not None:
        return
    for name in ("bytes", *_SIZES):
        least = 1 if name == "reference_bytes" else 0
        if not isinstance(line[name], int) or not least <= line[name] < _MOST:
            raise ValueError(f"{name} is {line[name]!r:.40}")
    for name in ("labels", "compressed_labels"):
        pairs = line[name] if line[name] is not None or name == "labels" else []
        if not isinstance(pairs, list) or any(
            not isinstance(pair, list) or [type(each) for each in pair] not in ([str, float],)
            for pair in pairs
        ):
            raise ValueError(f"{name} is {line[name]!r:.40}")
    if line["agreement"] not in (None, 0, 1):
        raise ValueError(f"agreement is {line['agreement']!r:.40}")
    for name in ("state", "encoding", "answered_by"):
        if not isinstance(line[name], str):
            raise ValueError(f"{name} is {line[name]!r:.40}")


class _Answered:
    """A service that repeats the answers of one line, and refuses where there was none."""

    side_by_side = False

    def __init__(self, line: dict[str, Any], service: Service) -> None:
        self.line, self.service, self.name = line, service, called(service)
        self.asked = False

    def __getattr__(self, name: str) -> Any:  # formats and limits
        return getattr(self.service, name)

    def label(self, payload: bytes) -> list[Label]:
        line, by_reference = self.line, self.line["answered_by"] == "reference"
        is_reference = len(payload) == line["reference_bytes"]
        if is_reference and line["bytes"] == line["reference_bytes"]:
            is_reference = self.asked  # both are the same, the chosen one goes first
        self.asked = True
        if is_reference:
            logged = line["labels"] if by_reference else None
            sent = line["bytes_sent"] > line["bytes"]
        else:
            logged = line["compressed_labels"] if by_reference else line["labels"]
            sent = line["bytes"] > 0
        if logged is None:
            raise RefusedError(line["fault"] or "not in the log", sent)
        return [Label(*label) for label in logged]


def learn_again(pilot: AdaCompress, line: dict[str, Any], photo: Photo, service: Service) -> bool:
    """Take the step of a logged image again, with its answers from the log.

    Returns whether that gave the same line; the pilot has changed in any case.
    """
    result = pilot.upload(photo, _Answered(line, service))
    again = json.dumps(answer(line["image"], line["sha256"], result))
    return bool(json.loads(again) == line)


def summary(lines: list[dict[str, Any]], times: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals of a run. A failed image that was sent later, its file mended, counts once."""
    sent = [line for line in lines if line["error"] is None]
    latest = {line["image"]: line for line in lines}.values()
    failed = sum(line["error"] is not None for line in latest)
    measured = [line["agreement"] for line in sent if line["agreement"] is not None]
    reference = sum(line["reference_bytes"] for line in sent)
    total = sum(line["bytes_sent"] for line in sent)
    ratios = [delivered(line) / line["reference_bytes"] for line in sent]
    return {
        "images": len(sent) + failed,
        "failed": failed,
        "states": dict(Counter(line["state"] for line in sent)),
        "unlabelled": sum(not line["labels"] for line in sent),
        "faults": sum(line["fault"] is not None for line in sent),
        "agreement": float(np.mean(measured)) if measured else None,
        "measured": len(measured),
        "size_ratio": float(np.mean(ratios)) if ratios else None,
        "net_size_ratio": total / reference if reference else None,
        "bytes_sent": total,
        "reference_bytes": reference,
        "original_bytes": sum(line["original_bytes"] for line in sent),
        "alpha": sent[-1]["alpha"] if sent else None,
        "seconds": _percentiles(times),
    }


def delivered(line: dict[str, Any]) -> int:
    """Bytes of the upload that the policy chose, or of the reference that came in its place."""
    fell_back = line["answered_by"] == "reference" and line["compressed_labels"] is None
    size: int = line["reference_bytes"] if fell_back else line["bytes"]
    return size


def _percentiles(times: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    found = {}
    for what in TIMES:
        said = [line.get(what) for line in times]
        seconds = [s for s in said if isinstance(s, (int, float)) and 0 <= s < _MOST]
        if seconds:
            values = np.percentile(seconds, (50, 90, 99))
            found[what] = {f"p{n}": float(v) for n, v in zip((50, 90, 99), values, strict=True)}
    return found
