"""A run over its images: bytes, agreement and p_est, with the three states behind them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..running import runlog
from . import charts
from .page import key, section

COLUMNS = 240  # of a chart, at most
RECENT_IMAGES, RECENT_MEASURED = 25, 30  # that running means are over


def section_of(sent: list[dict[str, Any]]) -> str:
    """Three charts of lines of the log, all of images that were answered, at least one."""
    count = len(sent)
    columns = np.array_split(np.arange(count), min(count, COLUMNS))
    ends = [column[-1] for column in columns]
    states = np.array([line["state"] for line in sent])
    shades = {
        state: np.array([(states[column] == state).mean() for column in columns])
        for state in ("estimate", "retrain")
    }
    below = {(step - 0.5) / count: f"{step:,}" for step in charts.round_steps(count)}
    chart = partial(charts.plot, below=below, shades=shades)
    lost = {
        (number + 0.5) / len(columns): f"{place + 1}: {sent[place]['image']}"
        for number, column in enumerate(columns)
        for place in column.tolist()
        if sent[place]["agreement"] == 0
    }
    p_est = np.array([line["p_est"] for line in sent], float)  # NaN where there is none
    return section(
        "Over images",
        f"In their order, numbered below: bytes of the latest {RECENT_IMAGES} images, in sum; "
        f"agreement, the mean of the latest {RECENT_MEASURED} that were measured.",
        key({name: name for name in ("inference", "estimate", "retrain")}),
        chart(
            "Bytes, of always quality 75",
            [*_ratios(sent)[:, ends]],
            "{:.0%}",
            {"curve-0": "all uploads", "curve-1": "compressed uploads alone"},
            {},
        ),
        chart("Agreement", [_agreement(sent)[ends]], "{:g}", {"mark": "best label lost"}, lost),
        chart("Probability of an estimate, p_est", [p_est[ends]], "{:g}", {}, {}),
    )


def _recent(part: np.ndarray, whole: np.ndarray, window: int) -> np.ndarray:
    """The sum of `part` over that of `whole`, [n] each, over the latest `window`, at each place."""
    parts, wholes = (np.convolve(values, np.ones(window))[: len(part)] for values in (part, whole))
    return np.asarray(parts / wholes)


def _ratios(sent: list[dict[str, Any]]) -> np.ndarray:
    """Bytes over those of quality 75, [2, n]: of all uploads, and of compressed ones alone."""
    sizes = np.array([(line["bytes_sent"], runlog.delivered(line)) for line in sent], float)
    reference = np.array([line["reference_bytes"] for line in sent], float)
    return np.stack([_recent(column, reference, RECENT_IMAGES) for column in sizes.T])


def _agreement(sent: list[dict[str, Any]]) -> np.ndarray:
    """Its running mean after each image, [n]; NaN before the first that was measured."""
    agreement = np.array([line["agreement"] for line in sent], float)  # NaN: not measured
    measured = np.isfinite(agreement)
    if not measured.any():
        return agreement
    means = _recent(agreement[measured], np.ones(measured.sum()), RECENT_MEASURED)
    return np.concatenate([[np.nan], means])[np.cumsum(measured)]
