"""Times as ratios to a peer, measured in turns in one run, as machines differ and are shared."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BLOCK = 10  # repetitions in a turn; those of the first are not counted
PAUSE = 0.06  # seconds between turns: the threads of ONNX Runtime spin for 0.05 after a run
MISSING = "not installed"


@dataclass
class Row:
    """One line of a report. `spread`: the quartiles of the value, where it is a median."""

    name: str
    value: float | None  # None: a peer is not installed
    unit: str = ""
    target: str | None = None  # as <= 1.15 or >= 20
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None where there is none, or no value."""
        if self.target is None or self.value is None:
            return None
        sign, limit = self.target.split()
        value = float(self.value)  # of NumPy, whose truth values JSON does not know
        return value <= float(limit) if sign == "<=" else value >= float(limit)


@contextmanager
def one_core() -> Iterator[None]:
    """What is started within has one core to run on."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def in_turns(jobs: dict[str, Callable[[], object]], repetitions: int) -> dict[str, np.ndarray]:
    """Seconds of each job [repetitions], measured in turns of ten, after a first one."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(1 + -(-repetitions // BLOCK)):
        for name, job in jobs.items():
            time.sleep(PAUSE)
            job()  # warms what the others have cooled
            for _ in range(BLOCK):
                started = time.perf_counter()
                job()
                if turn:
                    seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def duration(
    name: str,
    seconds: np.ndarray,
    target: str | None = None,
    unit: str = "ms",
    note: str = "",
) -> Row:
    """Median and quartiles in milliseconds, or in seconds."""
    values = seconds * {"ms": 1000, "s": 1}[unit]
    return Row(name, float(np.median(values)), unit, target, quartiles(values), note)


def ratio(
    name: str, ours: np.ndarray, theirs: np.ndarray, target: str | None = None, note: str = ""
) -> Row:
    """Ours over theirs, or where the target is at least so much, theirs over ours.

    The ratio of medians; the spread is that of the ratios of the turns' medians.
    """
    if target and target.startswith(">="):
        ours, theirs = theirs, ours
    turns = np.median(ours.reshape(-1, BLOCK), axis=1) / np.median(
        theirs.reshape(-1, BLOCK), axis=1
    )
    value = float(np.median(ours) / np.median(theirs))
    return Row(name, value, "x", target, quartiles(turns), note)


def beyond(name: str, ours: np.ndarray, theirs: np.ndarray, target: str | None = None) -> Row:
    """Milliseconds of ours above theirs: the medians' difference; the spread is that of turns."""
    ours, theirs = 1000 * ours, 1000 * theirs
    turns = np.median(ours.reshape(-1, BLOCK) - theirs.reshape(-1, BLOCK), axis=1)
    value = float(np.median(ours) - np.median(theirs))
    return Row(name, value, "ms", target, quartiles(turns))


def missing(name: str, package: str, target: str | None = None) -> Row:
    """A row for a peer that is not there."""
    return Row(name, None, target=target, note=f"{package} is {MISSING}")


def show(rows: list[Row], as_json: bool) -> int:
    """Print a report; exit status 1 where a target is missed."""
    if as_json:
        print(json.dumps([finite(asdict(row)) | {"ok": row.ok} for row in rows]))
    else:
        widest = max(len(row.name) for row in rows)
        for row in rows:
            value = f"{'-':>9}" if row.value is None else f"{row.value:9.3g} {row.unit:<2}"
            spread = "" if row.spread is None else f"({row.spread[0]:.3g} to {row.spread[1]:.3g})"
            verdict = {None: "", True: "ok", False: "MISSED"}[row.ok]
            judged = f"{row.target or '':<9}{verdict}"
            print(f"{row.name:<{widest}}{value} {spread:<18} {judged} {row.note}")
    return int(any(row.ok is False for row in rows))


def finite(field: Any) -> Any:
    """As JSON can have it: null in the place of what has no limit, in dictionaries and tuples."""
    if isinstance(field, dict):
        return {name: finite(value) for name, value in field.items()}
    if isinstance(field, tuple):
        return tuple(map(finite, field))
    return None if isinstance(field, float) and math.isinf(field) else field


def quartiles(values: np.ndarray) -> tuple[float, float]:
    """Those of a distribution; where some values are infinite, values that are there."""
    if np.isinf(values).any():
        low, high = np.percentile(values, (25, 75), method="nearest")
    else:
        low, high = np.percentile(values, (25, 75))
    return float(low), float(high)
