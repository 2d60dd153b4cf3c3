"""The running system over a stream: bytes while training and after; a change of scenery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.training import passes
from adacompress_ref.tables.environment import RecordedImage, split
from adacompress_ref.tables.table import Table

from .common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PRESETS,
    SKY,
    TEST_SHARE,
    TITLES,
    WIDTH,
    Bench,
    cumulative,
    moving_mean,
    train_agent,
)

SERVICE = "squeezenet"
STEPS = 5000  # of Figure 8
EVERY = 20  # steps between the points of it that are kept
STREAM_SEEDS = 3
STATES = ("inference", "estimate", "retrain")
STATE_COLOURS = {"inference": SKY, "estimate": "#F0E442", "retrain": ORANGE}
STREAM = (("imagenet", 500), ("night", 1500), ("imagenet", 1500))
WINDOW = 100  # of the curves drawn


class Trace(NamedTuple):
    """What a controller did; one entry a step."""

    state: list[int]  # index into STATES
    sent: list[int]  # bytes, both uploads where there were two
    reference: list[int]  # bytes of always sending the reference
    agreement: list[bool]  # of the compressed upload, known here whether measured or not
    mean_accuracy: list[float | None]
    p_est: list[float]


def run(agent: Any, trained: bool, visits: Iterable[tuple[Table, int]]) -> Trace:
    """The running system over recorded images."""
    controller = Controller(agent, agents.monitor_of(agent), trained)
    view, trace = agents.view_of(agent.config), Trace([], [], [], [], [], [])
    for table, row in visits:
        step = controller.step(RecordedImage(table, row, view))
        trace.state.append(STATES.index(step.state))
        trace.sent.append(step.bytes_sent)
        trace.reference.append(int(table.bytes[row, -1]))
        best = table.labels[row, -1, 0]
        trace.agreement.append(bool(best in table.labels[row, step.action]))
        trace.mean_accuracy.append(step.mean_accuracy)
        trace.p_est.append(step.p_est)
    return trace


def visited(
    table: Table, rows: Sequence[int] | np.ndarray, count: int, rng: np.random.Generator
) -> list[tuple[Table, int]]:
    """So many visits: pass after pass over the rows, each in a new order."""
    order: Any = passes(list(map(int, rows)), rng)  # type: ignore[arg-type]
    return [(table, row) for row in islice(order, count)]


def figure_8(bench: Bench) -> dict[str, Any]:
    """From an agent that knows nothing: bytes sent over bytes of always quality 75."""
    table = bench.table(SERVICE)
    presets: dict[str, Any] = {}
    for name in PRESETS:
        runs = []
        for seed in range(STREAM_SEEDS):
            rng = np.random.default_rng(seed)
            agent = agents.new_agent(agents.preset(name), rng)
            visits = visited(table, range(len(table.images)), STEPS, rng)
            runs.append(upload_overhead(run(agent, False, visits)))
        presets[name] = runs
    return {
        "service": SERVICE,
        "steps": STEPS,
        "every": EVERY,
        "window": WINDOW,
        "initial_training": agents.preset("authors").training_steps,
        "presets": presets,
    }


def upload_overhead(trace: Trace) -> dict[str, Any]:
    """Curves, and where all bytes sent fall below always sending the reference.

    Where they do not within the stream, `break_even_step` is None, and `break_even_estimate` goes
    on with the ratio of the last half, if that is below 1.
    """
    sent = cumulative(np.array(trace.sent))
    reference = cumulative(np.array(trace.reference))
    net = sent / reference
    half = len(net) // 2
    later = (sent[-1] - sent[half]) / (reference[-1] - reference[half])
    above = np.flatnonzero(net >= 1)
    step = int(above[-1]) + 1 if len(above) else 0  # the first from which it stays below
    estimate = None
    if step == len(net) and later < 1:
        owed = sent[-1] - reference[-1]
        per_step = (1 - later) * reference[-1] / len(net)
        estimate = int(np.ceil(len(net) + owed / per_step))
    local = moving_mean(np.array(trace.sent), WINDOW) / moving_mean(
        np.array(trace.reference), WINDOW
    )
    states = np.bincount(trace.state, minlength=len(STATES))
    return {
        "local": np.round(local[::EVERY], 4).tolist(),
        "net": np.round(net[::EVERY], 4).tolist(),
        "net_size_ratio": float(net[-1]),
        "later_size_ratio": float(later),
        "break_even_step": step if step < len(net) else None,
        "break_even_estimate": estimate,
        "steps": dict(zip(STATES, states.tolist(), strict=True)),
    }


def draw_figure_8(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    figure, grid = plt.subplots(1, 2, figsize=(WIDTH, 3.6), sharey=True)
    for axes, (name, runs) in zip(grid, results["presets"].items(), strict=True):
        steps = np.arange(len(runs[0]["net"])) * results["every"]
        latest = f"latest {results['window']} steps"
        for place, values in enumerate(runs):
            label = None if place else latest
            axes.plot(steps, values["local"], color=SKY, linewidth=0.7, label=label)
        for place, values in enumerate(runs):
            label = None if place else "since the start"
            axes.plot(steps, values["net"], color=ORANGE, label=label)
        axes.axhline(1, color="black", linewidth=1, label="always quality 75")
        axes.axvspan(0, results["initial_training"], color=ORANGE, alpha=0.12, linewidth=0)
        middle = results["initial_training"] / 2
        axes.text(middle, 0.05, "initial training", ha="center", fontsize=8)
        axes.set(xlabel="step (image)", ylim=(0, 2.2))  # the first steps may lie higher
        axes.set_title(f"{TITLES[name]}, {len(runs)} runs", fontsize=10)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("bytes sent relative to quality 75")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def figure_10(bench: Bench) -> dict[str, Any]:
    """An agent trained on ImageNet meets a simulated night, and then ImageNet again.

    It is trained on 80% of the ImageNet photographs; the stream shows the others, in pass after
    pass, and the night copies. Means over seeds, and the trace of the first.
    """
    sceneries = {scenery: bench.table(SERVICE, scenery) for scenery in ("imagenet", "night")}
    table = sceneries["imagenet"]
    presets = {}
    for name in PRESETS:
        runs = []
        for seed in range(STREAM_SEEDS):
            rng = np.random.default_rng(seed)
            train_rows, test_rows = split(len(table.images), TEST_SHARE, rng)
            agent = train_agent(table, agents.preset(name), train_rows, seed)
            visits = []
            for scenery, count in STREAM:
                here = sceneries[scenery]
                rows = test_rows if here is table else np.arange(len(here.images))
                visits += visited(here, rows, count, rng)
            runs.append(run(agent, True, visits))
        first = runs[0]._replace(
            mean_accuracy=[v if v is None else round(v, 4) for v in runs[0].mean_accuracy],
            p_est=[round(v, 4) for v in runs[0].p_est],
        )
        presets[name] = {"first": first._asdict(), "summary": [summary(each) for each in runs]}
    return {
        "service": SERVICE,
        "stream": [list(part) for part in STREAM],
        "window": WINDOW,
        "states": list(STATES),
        "presets": presets,
    }


def summary(trace: Trace) -> dict[str, Any]:
    """Counts of one run; `parts` for each part of the stream."""
    parts, start = [], 0
    for scenery, count in STREAM:
        here = slice(start, start + count)
        states = np.bincount(trace.state[here], minlength=len(STATES))
        parts.append(
            {
                "scenery": scenery,
                "steps": dict(zip(STATES, states.tolist(), strict=True)),
                "agreement": float(np.mean(trace.agreement[here])),
                "net_size_ratio": sum(trace.sent[here]) / sum(trace.reference[here]),
            }
        )
        start += count
    return {"net_size_ratio": sum(trace.sent) / sum(trace.reference), "parts": parts}


def draw_figure_10(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    presets = results["presets"]
    shape = {"figsize": (WIDTH, 7.6), "height_ratios": (3, 2.2, 1.6, 3)}
    figure, grid = plt.subplots(4, len(presets), sharex=True, sharey="row", squeeze=False, **shape)
    ends = np.cumsum([count for _, count in results["stream"]])
    for column, (name, values) in enumerate(presets.items()):
        trace = values["first"]
        steps = np.arange(len(trace["state"]))
        upper, middle, strip, lower = grid[:, column]
        measured = np.array(trace["mean_accuracy"], float)  # None becomes NaN
        kept = moving_mean(np.array(trace["agreement"], float), results["window"])
        upper.plot(steps, measured, color=GREY, linewidth=0.6, label="A, mean of the window")
        upper.plot(steps, kept, color=BLUE, label=f"agreement, latest {results['window']}")
        middle.plot(steps, trace["p_est"], color="black", linewidth=0.8)
        shares = [
            moving_mean(np.array(trace["state"]) == index, results["window"] // 2)
            for index in range(len(STATES))
        ]
        strip.stackplot(steps, shares, colors=list(STATE_COLOURS.values()), linewidth=0)
        for key, colour, style, label in (
            ("sent", "black", "-", "sent"),
            ("reference", GREEN, "--", "always quality 75"),
        ):
            megabytes = cumulative(np.array(trace[key])) / 1e6
            lower.plot(steps, megabytes, style, color=colour, label=label)
        for axes in grid[:, column]:
            for end in ends[:-1]:
                axes.axvline(end, color="black", linewidth=1, linestyle=":")
            axes.margins(x=0)
        for axes in (upper, middle, lower):
            _shade(axes, trace["state"])
        for (scenery, count), end in zip(results["stream"], ends, strict=True):
            text = "night" if scenery == "night" else TITLES[scenery]
            upper.text(end - count / 2, 1.08, text, ha="center", fontsize=8)
        upper.set_title(TITLES[name], fontsize=10, pad=16)
        lower.set(xlabel="step (image)", xticks=range(0, len(steps), 1000))
    titles = ("accuracy", "p_est", "share of\nstates", "MB sent")
    for axes, text in zip(grid[:, 0], titles, strict=True):
        axes.set_ylabel(text)
    for row, top in ((0, 1.05), (1, 1), (2, 1), (3, None)):
        grid[row, 0].set_ylim(0, top)
    handles = [*grid[0, 0].get_lines()[:2], *grid[3, 0].get_lines()[:2]]
    handles += state_handles(plt)
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=8.5, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


def state_handles(plt: Any) -> list[Any]:
    """What the colours of states mean, for a legend."""
    one = plt.Rectangle
    return [one((0, 0), 1, 1, color=each, label=name) for name, each in STATE_COLOURS.items()]


def _shade(axes: Any, states: list[int]) -> None:
    """Mark where the system retrains; the other two states change at every step."""
    values = np.array(states)
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, end in pairwise(edges):
        if values[start] == STATES.index("retrain"):
            axes.axvspan(start, end, color=STATE_COLOURS["retrain"], alpha=0.25, linewidth=0)
