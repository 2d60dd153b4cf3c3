"""The running system against what needs no agent, at the same agreement, references counted.

`python -m bench.streams --table TABLE... [--preset tuned ladder | --agent FILE...]
[--agreement 0.90 0.95 0.98] [--length 1000] [--streams 100] [--min-score P] [--json]`

A stream is `length` images, drawn with replacement from a table that `label` made; photographs that
the agent was trained on are left out, unless no other is in the table. The agent goes through the
controller with a new monitor whose goal is T, as in `adacompress run --agreement T`. Beside it:

- calibrate N: the reference of the first N images, and each fixed rung that may still be the
  answer, the cheapest first; a rung is dropped as soon as it has lost more than (1 - T) N labels.
  The first that is not is sent from then on. Every upload counts, and while it calibrates the
  client has the answers of the references.
- ideal mixture: of two fixed rungs, the cheapest in hindsight that reaches T; no reference is sent.

Rungs are those of the table that the agent's encoder makes: formats and sizes that it may send, up
to quality 75. That itself loses nothing and needs no trial. Per row:

- choice: agreement of what was chosen, over all images of a stream; choice_sd: over streams
- client: the same with 1 where the reference was sent; reached: streams with client >= T
- missed_by_05: streams with choice < T - .05
- net: all bytes sent over always the reference; references: how many were sent
- over_X: net over that of X at the same client agreement, less 1. X runs at T' = .70, .71 ... 1 on
  the same stream, calibration in several orders of its images; in between it is interpolated, up to
  always quality 75, which has agreement 1. wins_100: streams with over_calibrate_100 < 0

"intervals" are 95% of means over streams (bootstrap), "spread" of over_X has 95% of the streams,
and "photographs" how far its mean would move with other photographs, each of which the agent treats
as it did on average.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.storage import artifacts
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.evaluation import ratio_of_fixed
from adacompress_ref.tables.table import Table, TableError
from adacompress_ref.views import View

from .command import parser
from .tables import WORKERS

PRESETS = ("tuned", "ladder")  # those that can be told what to reach
GOALS = np.arange(70, 101) / 100  # T' of the alternatives
CALIBRATED_ON = (50, 100)  # images
IDEAL = "ideal mixture"
ORDERS = 8  # of a stream, for what calibration comes to on average
RESAMPLES = 200  # of photographs
DRAWS = 1000  # of streams, for an interval
CHUNK = 5  # streams a process runs at once
COMPARED = {"calibrate-50": "over_calibrate_50", "calibrate-100": "over_calibrate_100"} | {
    IDEAL: "over_ideal"
}


class Task(NamedTuple):
    """A table, an agent, and what counts as an answer."""

    table: str
    agent: str
    min_score: float


class Paths(NamedTuple):
    """What became of S streams; [S] where it is said of a whole stream."""

    choice: np.ndarray  # agreement of what was chosen
    client: np.ndarray  # of what the client got
    net: np.ndarray  # bytes over those of always the reference
    references: np.ndarray


class Curve(NamedTuple):
    """Client agreement and net of an alternative over GOALS, and at last of always quality 75."""

    client: np.ndarray  # [S, goals + 1]
    net: np.ndarray  # [S, goals + 1]


@dataclass(frozen=True)
class World:
    """The N photographs of a table that are streamed, as one agent sees them."""

    name: str
    service: str
    preset: str
    agent: str  # its file
    held_out: bool  # whether the agent was trained on none of them
    images: list[RecordedImage]
    kept: np.ndarray  # [N, A] bool, of the agent's actions
    reference: np.ndarray  # [N] bytes
    rungs: np.ndarray  # [R] columns of the table, the cheapest first, quality 75 last
    rung_kept: np.ndarray  # [N, R] bool
    rung_sizes: np.ndarray  # [N, R] bytes


def sizes_of(table: Table, view: View) -> np.ndarray:
    """Bytes of what an agent of this view sends, and of the reference behind it, [N, A + 1]."""
    return table.sizes(view.own_tables)


def answered(table: Table, min_score: float) -> Table:
    """The table of a service that says no label below a score, as real ones do."""
    said = table.scores >= min_score
    labels, scores = np.where(said, table.labels, ""), np.where(said, table.scores, 0)
    return replace(table, labels=labels, scores=scores.astype(table.scores.dtype))


def survives(table: Table, sizes: np.ndarray) -> np.ndarray:
    """Whether the reference's best label is kept, [N, A + 1]; what is larger is not sent."""
    kept = (table.labels == table.labels[:, -1:, :1]).any(axis=2)
    return kept | (sizes >= sizes[:, -1:])


def fixed_rungs(table: Table, view: Any, sizes: np.ndarray) -> np.ndarray:
    """Columns of sizes [N, A + 1] that the encoder makes, the cheapest first, quality 75 last."""
    encodings = table.source.encodings
    may_send = view.open_actions({encoding.format for encoding in encodings})
    kinds = {
        (view.encodings[n].format, view.encodings[n].short_side) for n in may_send.nonzero()[0]
    }
    columns = [
        column
        for column in sizes[:, :-1].mean(axis=0).argsort(kind="stable").tolist()
        if (encodings[column].format, encodings[column].short_side) in kinds
        and (
            (encodings[column].format, encodings[column].short_side) != ("jpeg", None)
            or encodings[column].quality < REFERENCE.quality
        )
    ]
    last = encodings.index(REFERENCE) if REFERENCE in encodings else len(encodings)
    return np.array([*columns, last])


@lru_cache
def world(task: Task) -> World:
    """Raises TableError or AgentError where the two do not fit, or no image has a label."""
    agent, table = agents.load(task.agent), answered(Table.load(task.table), task.min_score)
    view = agents.view_of(agent.config)
    if not agent.adjustable:
        raise agents.AgentError(f"{task.agent}: an agent that cannot be told what to reach")
    own = table.only(view.encodings)
    agents.check_fits(agent, view.encodings, view.stamp(table.source.extractor))
    labelled = table.labels[:, -1, 0] != ""  # [N]
    if not labelled.any():
        raise TableError(f"{task.table}: no image has a label of score {task.min_score:g} or more")
    trained = np.isin(table.digests, agent.stamp.get("trained_on", []))
    held_out = bool((labelled & ~trained).any())
    rows = np.flatnonzero(labelled & ~trained if held_out else labelled)
    states = view.of_table(own)  # as in a run: what the service does not take is closed
    images = []
    for row in rows.tolist():
        image = RecordedImage(own, row, view)
        image.state = states[row]
        images.append(image)
    sizes = sizes_of(table, view)[rows]
    sizes = np.minimum(sizes, sizes[:, -1:])
    every = survives(table, sizes_of(table, view))[rows]
    rungs = fixed_rungs(table, view, sizes)
    rung_kept = every[:, rungs]
    rung_kept[:, -1] = True  # the same pixels
    return World(
        name=Path(task.table).stem,
        service=table.source.service,
        preset=agent.config.preset,
        agent=task.agent,
        held_out=held_out,
        images=images,
        kept=survives(own, sizes_of(own, view))[rows, :-1],
        reference=sizes[:, -1],
        rungs=rungs,
        rung_kept=rung_kept,
        rung_sizes=sizes[:, rungs],
    )


# The running system ------------------------------------------------------------------------------


def drawn(images: int, length: int, streams: range) -> np.ndarray:
    """Rows of the photographs of some streams, [S, L]; the same for every preset and agreement."""
    return np.array([np.random.default_rng(n).integers(images, size=length) for n in streams])


def run(
    task: Task, goal: float, length: int, streams: range
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Streams of the running system: what was kept, whether the reference was sent, all bytes.

    Each [S, L].
    """
    here = world(task)
    rows = drawn(len(here.images), length, streams)
    kept, referenced = np.zeros((2, *rows.shape), bool)
    sent = np.zeros(rows.shape, np.int64)
    for place, number in enumerate(streams):
        agent = agents.load(here.agent, np.random.default_rng([number, 1]))
        monitor = agents.monitor_of(agent)
        monitor.goal = goal
        controller = Controller(agent, monitor)
        for turn, row in enumerate(rows[place].tolist()):
            step = controller.step(here.images[row])
            kept[place, turn] = here.kept[row, step.action]
            referenced[place, turn] = step.reference is not None
            sent[place, turn] = step.bytes_sent
    return kept, referenced, sent


# What needs no agent -----------------------------------------------------------------------------


def calibrate(
    kept: np.ndarray,
    sizes: np.ndarray,
    reference: np.ndarray,
    goals: Sequence[float],
    count: int,
) -> list[Paths]:
    """Calibrate on the first `count` images of S streams, then stay with one rung, for each goal.

    kept (bool) and sizes [S, L, R]: rungs from the cheapest to quality 75, which keeps all and is
    not tried; reference [S, L], its bytes.
    """
    streams, length, rungs = kept.shape
    lost = np.cumsum(~kept[:, :count], axis=1)  # [S, count, R]
    spent = np.cumsum(sizes[:, :count], axis=1)
    choice = kept.mean(axis=1)  # [S, R]
    client = 1 - (~kept[:, count:]).sum(axis=1) / length
    later = sizes[:, count:].sum(axis=1)  # bytes
    paths = []
    for goal in goals:
        too_many = lost > (1 - goal) * count + 1e-9
        dropped = too_many[:, -1]  # [S, R]
        last = np.where(dropped, too_many.argmax(axis=1), count - 1)  # the last image tried
        trials = np.take_along_axis(spent, last[:, None], axis=1)[:, 0]  # [S, R]
        rung = dropped.argmin(axis=1)  # [S], the cheapest that is left
        tried = (np.arange(rungs) <= rung[:, None]) & (np.arange(rungs) < rungs - 1)
        total = reference[:, :count].sum(axis=1) + (trials * tried).sum(axis=1)
        chosen = np.arange(streams), rung
        net = (total + later[chosen]) / reference.sum(axis=1)
        paths.append(Paths(choice[chosen], client[chosen], net, np.full(streams, count)))
    return paths


def ideal(kept: np.ndarray, sizes: np.ndarray, reference: np.ndarray, goal: float) -> Paths:
    """The cheapest mixture of two rungs that reaches the goal, in hindsight; arrays as above."""
    shares = kept.mean(axis=1)  # [S, R]
    nets = sizes.sum(axis=1) / reference.sum(axis=1)[:, None]
    pairs = [list(map(tuple, each)) for each in np.stack([shares, nets], axis=2).tolist()]
    net = np.array([ratio_of_fixed(goal, of_stream) for of_stream in pairs])
    # one rung alone, where it does more for less
    cheapest = shares[np.arange(len(kept)), nets.argmin(axis=1)]
    reached = np.maximum(cheapest, goal)
    return Paths(reached, reached, net, np.zeros(len(kept)))


def alternatives(here: World, rows: np.ndarray, goal: float) -> dict[str, Paths]:
    """Every rule but the agent's on streams [S, L], by name."""
    arrays = here.rung_kept[rows], here.rung_sizes[rows], here.reference[rows]
    rules = {f"calibrate-{count}": calibrate(*arrays, [goal], count)[0] for count in CALIBRATED_ON}
    return rules | {IDEAL: ideal(*arrays, goal)}


def curves(here: World, rows: np.ndarray) -> dict[str, Curve]:
    """What the alternatives come to at all GOALS on streams [S, L]: means over ORDERS."""
    rng, reference = np.random.default_rng(0), here.reference[rows]
    sizes = here.rung_sizes[rows]
    always = sizes[..., -1].sum(axis=1) / reference.sum(axis=1)  # [S], quality 75
    points: dict[str, Any] = {f"calibrate-{count}": 0 for count in CALIBRATED_ON}
    for _ in range(ORDERS):
        shuffled = rng.permuted(rows, axis=1)
        arrays = here.rung_kept[shuffled], here.rung_sizes[shuffled], here.reference[shuffled]
        for count in CALIBRATED_ON:
            runs = calibrate(*arrays, GOALS.tolist(), count)
            both = [[each.client for each in runs], [each.net for each in runs]]
            points[f"calibrate-{count}"] += np.array(both) / ORDERS  # [2, goals, S]
    nets = [ideal(here.rung_kept[rows], sizes, reference, goal).net for goal in GOALS]
    points[IDEAL] = np.array([np.repeat(GOALS[:, None], len(rows), axis=1), nets])
    end = np.stack([np.ones(len(rows)), always])[:, None]  # [2, 1, S]
    whole = {name: np.concatenate([both, end], axis=1) for name, both in points.items()}
    return {name: Curve(both[0].T, both[1].T) for name, both in whole.items()}


def over(client: np.ndarray, net: np.ndarray, curve: Curve) -> np.ndarray:
    """net [S] over the alternative's at the same client agreement [S], less 1."""
    order = curve.client.argsort(axis=1, kind="stable")
    clients = np.take_along_axis(curve.client, order, axis=1)
    nets = np.take_along_axis(curve.net, order, axis=1)
    rivals = map(np.interp, client, clients, nets)
    return net / np.array(list(rivals)) - 1


# Rows --------------------------------------------------------------------------------------------


def columns(values: dict[str, np.ndarray], goal: float) -> dict[str, np.ndarray]:
    """Columns of a row, of per-stream values [..., S]."""
    choice, client = values["choice"], values["client"]
    shown = {
        "choice": choice,
        "client": client,
        "reached": client >= goal - 1e-9,
        "missed_by_05": choice < goal - 0.05 - 1e-9,
        "references": values["references"],
        "net": values["net"],
        **{name: values[name] for name in COMPARED.values()},
        "wins_100": values["over_calibrate_100"] < 0,
    }
    means = {name: np.mean(column, axis=-1) for name, column in shown.items()}
    means["choice_sd"] = np.std(choice, axis=-1, ddof=1)
    return means


def row(rule: str, paths: Paths, against: dict[str, Curve], goal: float) -> dict[str, Any]:
    """Means of S streams, with their intervals."""
    values = paths._asdict()
    values |= {name: over(paths.client, paths.net, against[of]) for of, name in COMPARED.items()}
    streams = len(paths.net)
    picks = np.random.default_rng(0).integers(streams, size=(DRAWS, streams))
    draws = columns({name: column[picks] for name, column in values.items()}, goal)
    means = columns(values, goal)
    return {
        "rule": rule,
        **{name: float(mean) for name, mean in means.items()},
        "intervals": {name: _interval(draws[name]) for name in means},
        "spread": {name: _interval(values[name]) for name in COMPARED.values()},
    }


def _interval(values: np.ndarray) -> list[float]:
    return np.percentile(values, (2.5, 97.5)).tolist()


class Resampled:
    """Streams whose photographs are drawn anew, and what the alternatives come to on them."""

    def __init__(self, here: World, length: int) -> None:
        rng, images = np.random.default_rng(1), len(here.images)
        self.here = here
        again = rng.integers(images, size=(RESAMPLES, images))
        places = rng.integers(images, size=(RESAMPLES, length))
        self.rows = np.take_along_axis(again, places, axis=1)  # [RESAMPLES, L]
        self.curves = curves(here, self.rows)

    def intervals(
        self, rows: np.ndarray, client: np.ndarray, sent: np.ndarray, means: dict[str, Any]
    ) -> dict[str, list[float]]:
        """Of the agent's over_X, of what it did with the images of its streams, each [S, L]."""
        images = len(self.here.images)
        visits = np.bincount(rows.ravel(), minlength=images)
        photograph = [
            np.bincount(rows.ravel(), values.ravel(), images) / np.maximum(visits, 1)
            for values in (client, sent / self.here.reference[rows])
        ]  # [2, N]; by ratio, so that one never visited can stand for the mean of all
        clients, ratios = (np.where(visits, of, of[visits > 0].mean()) for of in photograph)
        references = self.here.reference[self.rows]
        net = (ratios[self.rows] * references).sum(axis=1) / references.sum(axis=1)
        bounds = {}
        for of, name in COMPARED.items():
            values = over(clients[self.rows].mean(axis=1), net, self.curves[of])
            bounds[name] = _interval(values - values.mean() + means[name])
        return bounds


def rows_of(
    task: Task, goals: list[float], length: int, streams: int, executor: ProcessPoolExecutor
) -> Iterator[dict[str, Any]]:
    """The rows of a table and an agent, agreement by agreement."""
    here = world(task)
    parts = [range(streams)[first : first + CHUNK] for first in range(0, streams, CHUNK)]
    jobs = {
        goal: [executor.submit(run, task, goal, length, part) for part in parts] for goal in goals
    }
    rows = drawn(len(here.images), length, range(streams))
    against, resampled = curves(here, rows), Resampled(here, length)
    reference = here.reference[rows].sum(axis=1)
    for goal in goals:
        of_parts = zip(*(job.result() for job in jobs[goal]), strict=True)
        kept, referenced, sent = map(np.concatenate, of_parts)  # each [S, L]
        client = kept | referenced
        means = kept.mean(axis=1), client.mean(axis=1), sent.sum(axis=1) / reference
        paths = {"agent": Paths(*means, referenced.sum(axis=1)), **alternatives(here, rows, goal)}
        head = {"service": here.service, "preset": here.preset, "agreement": goal}
        tail = {"table": here.name, "photographs": len(here.images), "held_out": here.held_out}
        tail |= {"streams": streams, "min_score": task.min_score}
        for rule, of_rule in paths.items():
            shown = row(rule, of_rule, against, goal)
            shown["photographs_95"] = (
                resampled.intervals(rows, client, sent, shown) if rule == "agent" else None
            )
            yield head | {"rule": rule, "length": length} | shown | tail


def line(shown: dict[str, Any]) -> str:
    """A row to read."""
    compared = "  ".join(
        f"{shown[name]:+6.1%} ({', '.join(f'{end:+.0%}' for end in shown['intervals'][name])})"
        for name in COMPARED.values()
    )
    return (
        f"{shown['service']:<20.20} {shown['preset']:<7} {shown['agreement']:.2f} "
        f"{shown['rule']:<14} {shown['choice']:.3f} {shown['choice_sd']:.3f} {shown['client']:.3f} "
        f"{shown['reached']:7.0%} {shown['missed_by_05']:6.0%} {shown['references']:5.1f} "
        f"{shown['net']:.3f}  {compared}  {shown['wins_100']:4.0%}"
    )


HEAD = (
    f"{'service':<20} {'preset':<7} {'T':<4} {'rule':<14} choice    sd client reached missed  refs"
    "   net  over calibrate-50, calibrate-100, ideal mixture (95% over streams)  wins"
)


def tasks_of(options: argparse.Namespace) -> Iterator[Task]:
    """Every table with every agent whose encodings it has. Raises as `world`."""
    paths = options.agent or [artifacts.find(f"agent-{name}.npz") for name in options.preset]
    for table in options.table:
        encodings = Table.load(table).source.encodings
        for path in paths:
            config = agents.load(path).config
            if set(config.encodings) <= {encoding.name for encoding in encodings}:
                yield Task(str(table), str(path), options.min_score)
            else:
                print(f"{table}: without the encodings of {config.preset}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2: a table or an agent cannot be used, or none fits another."""
    command = parser("bench.streams", __doc__)
    command.add_argument("--table", nargs="+", type=Path, required=True, help="that `label` made")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--preset", nargs="+", choices=PRESETS, default=PRESETS, help="as shipped")
    which.add_argument("--agent", nargs="+", type=Path, metavar="FILE", help="in place of presets")
    command.add_argument("--agreement", nargs="+", type=float, default=[0.9, 0.95, 0.98])
    command.add_argument("--length", type=int, default=1000, help="images of a stream")
    command.add_argument("--streams", type=int, default=100)
    command.add_argument(
        "--min-score", type=float, default=0.0, metavar="P", help="labels below are not answered"
    )
    options = command.parse_args(arguments)
    if options.length <= max(CALIBRATED_ON) or options.streams < 2:
        command.error(f"--length must be above {max(CALIBRATED_ON)}, --streams above 1")
    if not all(0 < goal <= 1 for goal in options.agreement):
        command.error("--agreement must be above 0 and at most 1")
    try:
        tasks = list(tasks_of(options))
        if not tasks:
            raise TableError("no table has the encodings of an agent")
        if not options.json:
            print(HEAD)
        with ProcessPoolExecutor(WORKERS) as executor:
            for task in tasks:
                here = world(task)
                which_images = "not trained on" if here.held_out else "ALL OF THEM TRAINED ON"
                print(
                    f"{task.table}: {here.preset}, {len(here.images)} photographs, {which_images}",
                    file=sys.stderr,
                )
                for shown in rows_of(
                    task, options.agreement, options.length, options.streams, executor
                ):
                    print(json.dumps(shown) if options.json else line(shown), flush=True)
    except (TableError, agents.AgentError, artifacts.ArtifactError) as error:
        print(f"bench.streams: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
