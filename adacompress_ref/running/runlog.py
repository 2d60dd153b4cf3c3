"""A line of a run's log, and what may be read of many: totals and times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..core.equations import BEST_LABELS
from ..core.roles import Label, Upload
from .results import Result

_OF_IMAGE = (
    "number",
    "image",
    "sha256",
    "error",
    "bytes",
    "answered_by",
    "labels",
    "compressed_labels",
)
_SIZES = ("bytes_sent", "reference_bytes", "original_bytes")
_OF_RESULT = ("state", "encoding", "quality", *_SIZES, "fault")
_OF_STEP = ("accuracy", "agreement", "reward", "mean_accuracy", "p_est", "epsilon", "alpha")
FIELDS = _OF_IMAGE + _OF_RESULT + _OF_STEP
TIMES = ("decision", "encode", "upload", "total")  # seconds
_MOST = 1e12  # bytes or seconds of one image


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


def _written(labels: Sequence[Label] | None) -> list[list[Any]] | None:
    return None if labels is None else [list(label) for label in labels[:BEST_LABELS]]


def uploads(line: dict[str, Any]) -> tuple[Upload, Upload]:
    """The two uploads of an answered image; one that was not made has no answer and no bytes."""
    own, other = line["labels"], None
    if line["answered_by"] == "reference":
        own, other = line["compressed_labels"], own
    compressed = Upload(line["bytes"], _read(own))
    sent = line["bytes_sent"] - compressed.size - line.get("again_bytes", 0)
    return compressed, Upload(sent, _read(other))


def _read(labels: list[list[Any]] | None) -> list[Label] | None:
    return None if labels is None else [Label(*label) for label in labels]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < _MOST


def _are_labels(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and [type(part) for part in pair] == [str, float] for pair in value
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {  # of an answered image; the log has no checksum
    "state": _is_text,
    "encoding": _is_text,
    "answered_by": _is_text,
    "bytes": _is_size,
    "bytes_sent": _is_size,
    "reference_bytes": lambda value: _is_size(value) and value > 0,
    "original_bytes": lambda value: _is_size(value) and value > 0,
    "labels": _are_labels,
    "compressed_labels": lambda value: value is None or _are_labels(value),
    "agreement": lambda value: value in (None, 0, 1),
    "again": lambda value: value in (None, [0, 0], [0, 1], [1, 0], [1, 1]),
    "again_bytes": lambda value: value is None or _is_size(value),
    "p_est": lambda value: value is None or (isinstance(value, (int, float)) and 0 <= value <= 1),
}


def check(line: dict[str, Any]) -> None:
    """Raises ValueError naming the field where this is no line that `answer` or `failure` made."""
    if missing := {*FIELDS[1:]} - line.keys():  # earlier versions had no numbers
        raise ValueError(f"has no {min(missing)}")
    checks = _CHECKS if line["error"] is None else {}
    for name, fits in [("image", _is_text), *checks.items()]:
        if not fits(line.get(name)):
            raise ValueError(f"{name} is {line[name]!r:.40}")


def add(totals: dict[str, Any], line: dict[str, Any]) -> None:
    """One more line, to sums that begin empty and are JSON values; a failure changes none."""
    if line["error"] is not None:
        return
    states = totals.setdefault("states", {})
    states[line["state"]] = states.get(line["state"], 0) + 1
    sums = {name: line[name] for name in _SIZES} | {
        "sent": 1,
        "unlabelled": int(not line["labels"]),
        "faults": int(line["fault"] is not None),
        "measured": int(line["agreement"] is not None),
        "agreed": line["agreement"] or 0.0,
        "ratios": delivered(line) / line["reference_bytes"],
    }
    if again := line.get("again"):
        sums |= {"asked_again": 1, "same_again": again[0], "finest_again": again[1]}
    totals |= {name: totals.get(name, 0) + value for name, value in sums.items()}
    totals["alpha"] = line["alpha"]


def summary(lines: list[dict[str, Any]], times: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The totals of lines. A failed image that was sent later, its file mended, counts once."""
    totals: dict[str, Any] = {}
    for line in lines:
        add(totals, line)
    latest = {line["image"]: line for line in lines}.values()
    return figures(totals, times, failed=sum(line["error"] is not None for line in latest))


def figures(
    totals: dict[str, Any], times: Iterable[dict[str, Any]], failed: int, **others: int
) -> dict[str, Any]:
    """What is read off such sums; `others` are counts of images that are not sent."""
    total: Counter[str] = Counter(totals)
    return {
        "images": total["sent"] + failed,
        "failed": failed,
        **others,
        "states": totals.get("states", {}),
        **{name: total[name] for name in ("unlabelled", "faults")},
        "agreement": total["agreed"] / total["measured"] if total["measured"] else None,
        "measured": total["measured"],
        "asked_again": _floor(total),
        "size_ratio": total["ratios"] / total["sent"] if total["sent"] else None,
        "net_size_ratio": total["bytes_sent"] / (total["reference_bytes"] or 1) or None,
        **{name: total[name] for name in _SIZES},
        "alpha": totals.get("alpha"),
        "seconds": _percentiles(times),
    }


def _floor(total: Counter[str]) -> dict[str, Any] | None:
    if not (count := total["asked_again"]):
        return None
    shares = {"identical": total["same_again"] / count, "quality_95": total["finest_again"] / count}
    floors = {
        name: {"share": share, "interval": interval(share, count)} for name, share in shares.items()
    }
    return {"references": count, **floors}


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share of `count`; unlike a bootstrap, it is no point at 1."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * (share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5 / (1 + z**2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def delivered(line: dict[str, Any]) -> int:
    """Bytes of the upload that the policy chose, or of the reference that came in its place."""
    fell_back = line["answered_by"] == "reference" and line["compressed_labels"] is None
    size: int = line["reference_bytes"] if fell_back else line["bytes"]
    return size


def _percentiles(times: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
    percentiles, times = {}, list(times)
    for name in TIMES:
        values = [line.get(name) for line in times]  # nothing has checked them
        seconds = [s for s in values if isinstance(s, (int, float)) and 0 <= s < _MOST]
        if seconds:
            p50, p90, p99 = np.percentile(seconds, (50, 90, 99)).tolist()
            percentiles[name] = {"p50": p50, "p90": p90, "p99": p99}
    return percentiles
