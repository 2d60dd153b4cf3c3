"""The running system against what needs no agent, at the same agreement, references counted.

`python -m bench.streams --table TABLE... [--preset tuned ladder | --agent FILE...]
[--agreement 0.90 0.95 0.98] [--length 1000] [--streams 100] [--min-score P] [--confidence P]
[--set FIELD=N...] [--json]`

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

"intervals" has 95% of means over streams (bootstrap), "spread" where over_X of 95% of the streams
is, "photographs_95" how far its mean would move with other photographs, each of which the agent
treats as it did on average. As what is paid for agreement rises steeply near 1, a rule whose
agreement varies gains by the comparison: calibrate 50 itself is a few percent below its own mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.storage import artifacts
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.table import Table, TableError
from adacompress_ref.views import View

from .alternatives import CALIBRATED_ON, Paths, Rungs, alternatives, curves, fixed_rungs, survives
from .command import parser
from .comparison import HEAD, Resampled, compared, line
from .tables import WORKERS

PRESETS = ("tuned", "ladder")  # those that can be told what to reach
CHUNK = 5  # streams a process runs at once


class Task(NamedTuple):
    """A table, an agent, and what counts as an answer."""

    table: str
    agent: str
    min_score: float
    confidence: float | None = None
    settings: tuple[tuple[str, str], ...] = ()  # fields of the agent's config, other than it has


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
    rungs: Rungs


def sizes_of(table: Table, view: View) -> np.ndarray:
    """Bytes of what an agent of this view sends, and of the reference behind it, [N, A + 1]."""
    return table.sizes(view.own_tables)


@lru_cache
def world(task: Task) -> World:
    """Raises TableError or AgentError where the two do not fit, or no image has a label."""
    agent, table = agents.load(task.agent), Table.load(task.table).answered(task.min_score)
    view = agents.view_of(agent.config)
    if not agent.aim:
        raise agents.AgentError(f"{task.agent}: an agent that cannot be told what to reach")
    own = table.only(view.encodings)
    agents.check_fits(agent, view.stamp(table.source.extractor))
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
    rungs = fixed_rungs(table, view, sizes_of(table, view))
    return World(
        name=Path(task.table).stem,
        service=table.source.service,
        preset=agent.config.preset,
        agent=task.agent,
        held_out=held_out,
        images=images,
        kept=survives(own, sizes_of(own, view))[rows, :-1],
        rungs=Rungs(*(array[rows] for array in rungs)),
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
        agent.config = agent.config.replace(**changed(agent.config, task.settings))
        monitor = agents.monitor_of(agent)
        agent.aim(None, goal, task.confidence)
        controller = Controller(agent, monitor)
        for turn, row in enumerate(rows[place].tolist()):
            step = controller.step(here.images[row])
            kept[place, turn] = here.kept[row, step.action]
            referenced[place, turn] = step.reference is not None
            sent[place, turn] = step.bytes_sent
    return kept, referenced, sent


def changed(config: Any, settings: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The fields of a config that are set, of the kind that they have. Raises ValueError."""
    fields = {}
    for name, text in settings:
        if not isinstance(before := getattr(config, name, None), (int, float)):
            raise ValueError(f"--set {name}: no number of {config.preset}'s config")
        fields[name] = type(before)(text)
    return fields


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
    against, resampled = curves(here.rungs, rows), Resampled(here.rungs, length)
    reference = here.rungs.reference[rows].sum(axis=1)
    for goal in goals:
        of_parts = zip(*(job.result() for job in jobs[goal]), strict=True)
        kept, referenced, sent = map(np.concatenate, of_parts)  # each [S, L]
        client = kept | referenced
        means = kept.mean(axis=1), client.mean(axis=1), sent.sum(axis=1) / reference
        paths = {
            "agent": Paths(*means, referenced.sum(axis=1)),
            **alternatives(here.rungs, rows, goal),
        }
        head = {"service": here.service, "preset": here.preset, "agreement": goal}
        tail = {"table": here.name, "photographs": len(here.images), "held_out": here.held_out}
        tail |= {"streams": streams, "min_score": task.min_score, "confidence": task.confidence}
        tail |= {"settings": dict(task.settings)}
        for rule, of_rule in paths.items():
            shown = compared(rule, of_rule, against, goal)
            shown["photographs_95"] = (
                resampled.intervals(rows, client, sent, shown) if rule == "agent" else None
            )
            yield head | {"rule": rule, "length": length} | shown | tail


def setting(text: str) -> tuple[str, str]:
    """An argparse type: FIELD=N."""
    name, _, value = text.partition("=")
    float(value)
    return name, value


def tasks_of(options: argparse.Namespace) -> Iterator[Task]:
    """Every table with every agent whose encodings it has. Raises as `world`."""
    paths = options.agent or [artifacts.find(f"agent-{name}.npz") for name in options.preset]
    for table in options.table:
        encodings = Table.load(table).source.encodings
        for path in paths:
            config = agents.load(path).config
            if set(config.encodings) <= {encoding.name for encoding in encodings}:
                settings = tuple(options.set)
                config.replace(**changed(config, settings))  # refused here and not in a process
                yield Task(str(table), str(path), options.min_score, options.confidence, settings)
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
    text = "as in `run`: the agreement is held in this share of streams"
    command.add_argument("--confidence", type=float, metavar="P", help=text)
    text = "fields of the agent's config, such as share=0.6"
    command.add_argument("--set", nargs="+", type=setting, metavar="FIELD=N", default=[], help=text)
    options = command.parse_args(arguments)
    if options.length <= max(CALIBRATED_ON) or options.streams < 2:
        command.error(f"--length must be above {max(CALIBRATED_ON)}, --streams above 1")
    if not all(0 < goal <= 1 for goal in options.agreement):
        command.error("--agreement must be above 0 and at most 1")
    if options.confidence is not None and not 0.5 <= options.confidence < 1:
        command.error("--confidence must be from 0.5 to below 1")
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
    except (TableError, agents.AgentError, artifacts.ArtifactError, ValueError) as error:
        print(f"bench.streams: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
