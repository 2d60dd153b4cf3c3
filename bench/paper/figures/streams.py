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
from adacompress_ref.tables.evaluation import Measures
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
SHOWN = ("tuned", "ladder", "authors", "paper")  # in Figure 10, the default first
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
    """The running system over recorded images, of tables that have the agent's actions alone."""
    controller = Controller(agent, agents.monitor_of(agent), trained)
    view, trace = agents.view_of(agent.config), Trace([], [], [], [], [], [])
    kept: dict[int, np.ndarray] = {}  # of each table, [images, actions]
    for table, row in visits:
        if id(table) not in kept:
            kept[id(table)] = Measures.of(table, view, 1.0, 0.0).agreement
        step = controller.step(RecordedImage(table, row, view))
        trace.state.append(STATES.index(step.state))
        trace.sent.append(step.bytes_sent)
        trace.reference.append(int(table.bytes[row, -1]))
        trace.agreement.append(bool(kept[id(table)][row, step.action] == 1))
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
    presets = {}
    for name in SHOWN:
        config = agents.preset(name)
        actions = agents.view_of(config).encodings
        ladder = name == "ladder"
        day, night = (
            bench.table(SERVICE, scenery).only(actions)
            for scenery in (("ladder", "ladder-night") if ladder else ("imagenet", "night"))
        )
        runs = []
        for seed in range(STREAM_SEEDS):
            rng = np.random.default_rng(seed)
            train_rows, test_rows = split(len(day.images), TEST_SHARE, rng)
            agent = train_agent(day, config, train_rows, seed)
            visits = []
            for scenery, count in STREAM:
                here, rows = (day, test_rows) if scenery == "imagenet" else (night, None)
                rows = np.arange(len(here.images)) if rows is None else rows
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


def in_words(name: str, runs: list[dict[str, Any]]) -> str:
    """What to see of a preset: a title, means over its runs."""
    net = np.mean([run["net_size_ratio"] for run in runs])
    kept = {"imagenet": 0.0, "night": 0.0}
    for part in (part for run in runs for part in run["parts"]):
        steps = sum(count for scenery, count in STREAM if scenery == part["scenery"]) * len(runs)
        kept[part["scenery"]] += part["agreement"] * sum(part["steps"].values()) / steps
    shown = f"{name}, the default" if name == agents.DEFAULT_PRESET else name
    return (
        f"{shown}: {net:.0%} of the bytes of quality 75, references counted; "
        f"agreement {kept['imagenet']:.2f} by day, {kept['night']:.2f} by night"
    )


def draw_figure_10(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    """A preset in two rows: agreement, A and p_est beside the bytes; and the states below."""
    presets, window = results["presets"], results["window"]
    heights = [2.2] * len(presets) + [0.7]  # inches
    figure = plt.figure(figsize=(WIDTH, sum(heights)))
    *parts, legend = figure.subfigures(len(heights), 1, height_ratios=heights)
    ends = np.cumsum([count for _, count in results["stream"]])
    middles = ends - [count / 2 for _, count in results["stream"]]
    for part, (name, values) in zip(parts, presets.items(), strict=True):
        trace = values["first"]
        steps = np.arange(len(trace["state"]))
        shape = {"height_ratios": (5, 1), "width_ratios": (5, 2), "hspace": 0.12, "wspace": 0.2}
        grid = part.add_gridspec(2, 2, left=0.07, right=0.985, top=0.79, bottom=0.2, **shape)
        upper, strip = (part.add_subplot(grid[row, 0]) for row in (0, 1))
        lower = part.add_subplot(grid[:, 1])
        part.suptitle(in_words(name, values["summary"]), fontsize=9, x=0.07, ha="left")
        measured = np.array(trace["mean_accuracy"], float)  # None becomes NaN
        kept = moving_mean(np.array(trace["agreement"], float), window)
        upper.plot(steps, measured, color=GREY, linewidth=0.5, label="A, mean of the window")
        upper.plot(steps, trace["p_est"], color="black", linewidth=0.8, label="p_est")
        upper.plot(steps, kept, color=BLUE, label=f"agreement of the latest {window}")
        upper.set(ylim=(0, 1.05), yticks=(0, 0.5, 1), ylabel="share", xticklabels=())
        shares = [
            moving_mean(np.array(trace["state"]) == index, window // 2)
            for index in range(len(STATES))
        ]
        strip.stackplot(steps, shares, colors=list(STATE_COLOURS.values()), linewidth=0)
        strip.set(ylim=(0, 1), yticks=())
        for key, colour, style, label in (
            ("sent", "black", "-", "sent"),
            ("reference", GREEN, "--", "always quality 75"),
        ):
            megabytes = cumulative(np.array(trace[key])) / 1e6
            lower.plot(steps, megabytes, style, color=colour, label=label)
        lower.set(ylim=(0, None), ylabel="MB in all")
        for axes in (upper, strip, lower):
            for end in ends[:-1]:
                axes.axvline(end, color="black", linewidth=1, linestyle=":")
            axes.set(xlim=(0, len(steps)), xticks=range(0, len(steps), 1000))
            axes.tick_params(labelsize=8)
        for axes in (upper, lower):
            _shade(axes, trace["state"])
        for (scenery, _), middle in zip(results["stream"], middles, strict=True):
            text = "day" if scenery == "imagenet" else scenery
            upper.text(middle, 1.07, text, ha="center", fontsize=8)
        for axes in (strip, lower):
            axes.set_xlabel("image", fontsize=8, labelpad=1)
    handles = [*upper.get_lines()[:3], *lower.get_lines()[:2], *state_handles(plt)]
    about = "day: photographs of ImageNet; night: simulated, 1/16 of the light; shaded: retrain"
    look = {"fontsize": 8.5, "title_fontsize": 8.5, "frameon": False}
    legend.legend(handles=handles, loc="center", ncols=4, title=about, **look)
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
