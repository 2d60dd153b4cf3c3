"""A run over its images: bytes, agreement and p_est, with the three states behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..running import runlog
from . import charts
from .page import key, section

COLUMNS = 240  # of a chart, at most
RECENT_IMAGES, RECENT_MEASURED = 25, 30  # that running means are over
_UNIT = {0.0: "0", 0.5: "0.5", 1.0: "1"}


def section_of(sent: list[dict[str, Any]]) -> str:
    """Three charts of lines of the log, all of images that were answered, at least one."""
    count = len(sent)
    edges = np.linspace(0, count, min(count, COLUMNS) + 1).round().astype(int)
    ends = edges[1:] - 1  # the last image of each column
    is_in = {s: [line["state"] == s for line in sent] for s in ("estimate", "retrain")}
    shades = {
        state: np.add.reduceat(np.array(those, float), edges[:-1]) / np.diff(edges)
        for state, those in is_in.items()
    }
    below = {(step - 0.5) / count: f"{step:,}" for step in charts.round_steps(count)}

    def chart(
        title: str,
        curves: list[np.ndarray],
        ticks: dict[float, str],
        names: Iterable[tuple[str, str]] = (),
        marks: dict[float, str] | None = None,
    ) -> str:
        drawn = charts.plot(title, curves, ticks, below=below, shades=shades, marks=marks or {})
        return f"<figure><figcaption><h3>{title}</h3>{key(names)}</figcaption>{drawn}</figure>"

    ratios = _ratios(sent)[:, ends]
    halves = range(2 + int(2 * max(0.999, ratios.max()) + 0.001))
    agreement, marks = _agreement(sent, edges)
    said = [line["p_est"] for line in sent]
    p_est = np.array([p if type(p) in (int, float) and 0 <= p <= 1 else np.nan for p in said])
    return section(
        "Over images",
        f"In their order: means of the latest {RECENT_IMAGES} images, agreement of the latest "
        f"{RECENT_MEASURED} that were measured.",
        key([("inference", "inference"), ("estimate", "estimate"), ("retrain", "retrain")]),
        chart(
            "Bytes, of always quality 75",
            list(ratios),
            {half / 2: f"{50 * half}%" for half in halves},
            [("curve-0", "all uploads"), ("curve-1", "compressed uploads alone")],
        ),
        chart("Agreement", [agreement], _UNIT, [("mark", "best label lost")], marks),
        chart("Probability of an estimate, p_est", [p_est[ends]], _UNIT),
    )


def _recent(part: np.ndarray, whole: np.ndarray, window: int) -> np.ndarray:
    """The sum of `part` over that of `whole`, [n] each, over the latest `window`, at each place."""
    last = np.arange(1, len(part) + 1)
    first = np.maximum(last - window, 0)
    sums = [np.concatenate([[0.0], np.cumsum(each)]) for each in (part, whole)]
    parts, wholes = (each[last] - each[first] for each in sums)
    return np.asarray(parts / wholes)


def _ratios(sent: list[dict[str, Any]]) -> np.ndarray:
    """Bytes over those of quality 75, [2, n]: of all uploads, and of compressed ones alone."""
    reference = np.array([line["reference_bytes"] for line in sent], float)
    sizes = [line["bytes_sent"] for line in sent], [runlog.delivered(line) for line in sent]
    return np.stack([_recent(np.array(each, float), reference, RECENT_IMAGES) for each in sizes])


def _agreement(
    sent: list[dict[str, Any]], edges: np.ndarray
) -> tuple[np.ndarray, dict[float, str]]:
    """Its running mean at the end of each column, NaN before the first, and where it was lost."""
    places = np.array([n for n, line in enumerate(sent) if line["agreement"] is not None], int)
    kept = np.array([sent[place]["agreement"] for place in places], float)
    running = np.concatenate([[np.nan], _recent(kept, np.ones(len(kept)), RECENT_MEASURED)])
    marks = {}
    for place in places[kept == 0].tolist():
        column = int(np.searchsorted(edges, place, side="right")) - 1
        marks[(column + 0.5) / (len(edges) - 1)] = f"{place + 1}: {sent[place]['image']}"
    return running[np.searchsorted(places, edges[1:] - 1, side="right")], marks
