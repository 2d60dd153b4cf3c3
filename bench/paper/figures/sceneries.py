"""A run over a stream in numbers, lines and a picture; `bench.scenery` makes it."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .common import BLUE, GREEN, TITLES, WIDTH, moving_mean
from .streams import STATE_COLOURS, STATES, _shade, state_handles

AT_START = 500  # steps within which a retraining may be due to a start with another service
WINDOW = 100  # of the curves drawn


class Part(NamedTuple):
    """A piece of a stream: sceneries in equal shares, and whose labels count."""

    sceneries: tuple[str, ...]
    steps: int
    other: float = 0  # of the photographs, so many have the other service's labels


class Trace(NamedTuple):
    """What happened; one entry a step."""

    state: np.ndarray  # index into STATES
    sent: np.ndarray  # bytes, both uploads where there were two
    reference: np.ndarray  # bytes of always sending the reference
    kept: np.ndarray  # agreement delivered; NaN where the reference has no label
    p_est: np.ndarray


def measures(
    trace: Trace,
    parts: tuple[Part, ...],
    losses: list[float],
    p_max: float,
    adapts_at_start: bool = False,
) -> dict[str, Any]:
    """A run in numbers.

    A change is noticed where p_est rises to p_max, to measure it, or where retraining begins. The
    first time after a change is its detection; retrainings and rises without one are false alarms.
    """
    retraining = trace.state == STATES.index("retrain")
    alert = retraining | (trace.p_est >= p_max)
    begun = np.flatnonzero(np.diff(alert.astype(int), prepend=0) == 1)
    edges = np.cumsum([0, *(part.steps for part in parts)])
    changes, noticed = [], 0
    retrainings = np.count_nonzero(np.diff(retraining.astype(int), prepend=0) == 1)
    for place, (start, end) in enumerate(pairwise(edges.tolist())):
        # one that begins with the first image of a part is due to the last image before it
        last = end if place else min(end, AT_START)
        found = begun[(begun > start if place else begun >= 0) & (begun <= last)]
        expected = place > 0 or adapts_at_start
        noticed += expected and len(found) > 0
        if place:
            delay = int(found[0] - start) if len(found) else None
            changes.append({"step": start, "loss": losses[place - 1], "delay": delay})
    return {
        **_totals(trace),
        "parts": [_totals(Trace(*(c[a:b] for c in trace))) for a, b in pairwise(edges.tolist())],
        "changes": changes,
        "alerts": len(begun),
        "retrainings": int(retrainings),
        "false_alarms": len(begun) - noticed,
    }


def _totals(trace: Trace) -> dict[str, Any]:
    """`reward` is AC-3 of what the client gets and sends, at alpha 1 for all presets."""
    counts = np.bincount(trace.state.astype(int), minlength=len(STATES)).tolist()
    known = ~np.isnan(trace.kept)
    reward = trace.kept[known] - (trace.sent / trace.reference)[known]
    return {
        "steps": dict(zip(STATES, counts, strict=True)),
        "agreement": float(trace.kept[known].mean()) if known.any() else None,
        "net_size_ratio": float(trace.sent.sum() / trace.reference.sum()),
        "reward": float(reward.mean()) if known.any() else None,
    }


def _mean(values: list[Any]) -> float:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else float("nan")


def median_delay(delays: list[int | None]) -> float | None:
    """Over seeds; a change that is never noticed counts as the longest of all. None: never."""
    middle = statistics.median(float("inf") if delay is None else delay for delay in delays)
    return middle if middle < float("inf") else None


def lines(runs: list[dict[str, Any]]) -> list[str]:
    """Of one stream and service: a line for each preset, means over its seeds."""
    first = runs[0]
    text = [
        f"{first['stream']}, {first['service']}",
        f"{'':9}agreement  bytes  ideal  reward  inference  estimate  retrain  retrainings"
        "  false alarms  changes: loss, median delay",
    ]
    for name in dict.fromkeys(run["preset"] for run in runs):
        own = [run for run in runs if run["preset"] == name]
        agreement, ratio, fixed, reward = (
            _mean([run[key] for run in own])
            for key in ("agreement", "net_size_ratio", "ideal", "reward")
        )
        counts = [_mean([run["steps"][state] for run in own]) for state in STATES]
        retrainings, alarms = (
            _mean([run[key] for run in own]) for key in ("retrainings", "false_alarms")
        )
        notes = []
        for change in zip(*(run["changes"] for run in own), strict=True):
            delay = median_delay([each["delay"] for each in change])
            when = "never" if delay is None else f"{delay:g}"
            notes.append(f"{_mean([each['loss'] for each in change]):.2f}, {when}")
        text.append(
            f"{name:9}{agreement:9.3f}{ratio:7.3f}{fixed:7.3f}{reward:8.3f}{counts[0]:11.0f}{counts[1]:10.0f}"
            f"{counts[2]:9.0f}{retrainings:13.1f}{alarms:14.1f}  {'; '.join(notes)}"
        )
    return [*text, ""]


def draw(runs: list[dict[str, Any]], parts: tuple[Part, ...], plt: Any) -> Any:
    """One run of each preset, one under the other: what the client gets, bytes, p_est, states."""
    ends = np.cumsum([part.steps for part in parts])
    height = 1.9 * len(runs) + 1.1
    shape = {"figsize": (WIDTH, height), "height_ratios": [5, 1] * len(runs)}
    figure, grid = plt.subplots(2 * len(runs), 1, sharex=True, squeeze=False, **shape)
    for place, run in enumerate(runs):
        trace, (upper, strip) = run["trace"], grid[2 * place : 2 * place + 2, 0]
        steps = np.arange(len(trace.state))
        known = ~np.isnan(trace.kept)
        kept = moving_mean(np.where(known, trace.kept, 0), WINDOW)
        kept /= np.maximum(moving_mean(known, WINDOW), 1e-9)
        ratio = moving_mean(trace.sent, WINDOW) / moving_mean(trace.reference, WINDOW)
        upper.plot(steps, trace.p_est, color="black", linewidth=0.6, label="p_est")
        upper.plot(steps, kept, color=BLUE, label=f"agreement delivered, latest {WINDOW}")
        label = f"bytes relative to quality 75, latest {WINDOW}"
        upper.plot(steps, ratio, color=GREEN, label=label)
        upper.axhline(1, color="black", linewidth=0.5)
        shares = [moving_mean(trace.state == index, WINDOW // 2) for index in range(len(STATES))]
        strip.stackplot(steps, shares, colors=list(STATE_COLOURS.values()), linewidth=0)
        _shade(upper, trace.state.astype(int).tolist())
        for axes in (upper, strip):
            for change in run["changes"]:
                axes.axvline(change["step"], color="black", linewidth=1, linestyle=":")
            axes.margins(x=0)
        upper.set(ylim=(0, 2.2), yticks=(0, 0.5, 1, 1.5, 2), ylabel="ratio, share")
        told = (
            f"preset {run['preset']}: {run['net_size_ratio']:.0%} of the bytes of always quality 75"
        )
        if run["agreement"] is not None:
            told += f", agreement {run['agreement']:.2f}"
        upper.set_title(told, fontsize=9.5, loc="left")
        for part, end in zip(parts, ends, strict=True):
            what = " and ".join(part.sceneries) + (", another service" if part.other else "")
            upper.text(end - part.steps / 2, 1.95, what, ha="center", fontsize=8.5)
        strip.set(ylim=(0, 1), yticks=())
    strip.set_xlabel("image of the stream")
    handles = [*upper.get_lines()[:3], *state_handles(plt)]
    about = f"stream '{runs[0]['stream']}', {TITLES[runs[0]['service']]}; shaded: retrain"
    figure.suptitle(about, fontsize=10)
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=8.5, frameon=False)
    figure.tight_layout(rect=(0, 0.7 / height, 1, 1), h_pad=0.3)
    return figure
