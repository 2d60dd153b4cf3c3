"""`adacompress train`: Algorithm 1, on tables or live."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import agents
from ..agents import AgentError
from ..core.roles import Agent
from ..imaging.encoding import parse_all
from ..running.folder import find
from ..running.pilot import AdaCompress
from ..running.state import StateFolder
from ..running.stream import Stream
from ..services.jsonlines import read_lines
from ..tables.environment import RecordedImage, split
from ..tables.table import TableError
from .common import (
    check_output,
    encodings,
    load_table,
    open_named_service,
    read_names,
    say,
    say_of,
    stop_signal,
)
from .evaluate import evaluated, show_policies
from .options import with_return_reward
from .progress import Progress


class _Trained(NamedTuple):
    """What came of it."""

    agent: Agent
    trained_on: int  # images
    held_out: int
    failed: int  # that could not be used
    evaluation: list[dict[str, Any]]


def main(arguments: argparse.Namespace) -> int:
    """Algorithm 1, on tables or live."""
    check_output(arguments.output, map(Path, arguments.table or []))
    if Path(arguments.output).exists():
        try:
            agents.load(arguments.output)
        except AgentError as error:
            raise ValueError(
                f"{arguments.output}: exists and is no agent of this version; name another"
            ) from error
    config = with_return_reward(agents.preset(arguments.preset), arguments)
    if arguments.steps:
        config = config.replace(training_steps=arguments.steps)
    trained = (_recorded if arguments.table else _live)(arguments, config)
    if isinstance(trained, int):
        return trained
    agents.save(trained.agent, arguments.output)
    if arguments.images:
        shutil.rmtree(_state_path(arguments), ignore_errors=True)
    if arguments.json:
        report = {"agent": arguments.output, "preset": config.preset}
        report |= {"steps": config.training_steps, "trained_on": trained.trained_on}
        report |= {"held_out": trained.held_out, "evaluation": trained.evaluation}
        print(json.dumps(report))
    else:
        print(
            f"{arguments.output}: trained on {trained.trained_on} images, {trained.held_out} held "
            "out"
        )
        for evaluation in trained.evaluation:
            show_policies(evaluation)
    return 1 if trained.failed else 0


def _recorded(arguments: argparse.Namespace, config: Any) -> _Trained:
    """On the rows of all tables."""
    tables = [load_table(path, config) for path in arguments.table]
    first = tables[0].source
    for table, path in zip(tables, arguments.table, strict=True):
        source = table.source
        if (source.encodings, source.extractor) != (first.encodings, first.extractor):
            raise TableError(
                f"{path}: has other encodings or another extractor than {arguments.table[0]}"
            )
    wanted = parse_all(config.encodings)
    if set(wanted) <= set(first.encodings):
        tables = [table.only(wanted) for table in tables]
    else:
        config = config.replace(encodings=tuple(encoding.name for encoding in first.encodings))
    rows = [(table, row) for table in tables for row in range(len(table.images))]
    names = [table.images[row] for table, row in rows]
    rng = np.random.default_rng(arguments.seed)
    learned, tested = _split(arguments, names, rng)
    channels = tables[0].features.shape[-1]
    view = agents.view_of(config, channels)
    agent = agents.new_agent(config, rng, channels)
    agent.stamp = {
        "extractor": view.stamp(first.extractor),
        "service": ", ".join(dict.fromkeys(table.source.service for table in tables)),
        "seed": arguments.seed,
        "trained_on": sorted({rows[place][0].digests[rows[place][1]] for place in learned}),
    }
    progress = Progress("train", config.training_steps, arguments.quiet)
    recent: deque[float] = deque(maxlen=100)

    def on_step(step: Any) -> None:
        recent.append(step.reward)
        progress.advance(f"reward {np.mean(recent):.3f} epsilon {step.epsilon:.2f}")

    services = []
    for score, table in product(arguments.min_score, tables):
        taught = [row for place in learned if (own := rows[place])[0] is table for row in own[1:]]
        heard = table.answered(score)
        services.append([RecordedImage(heard, row, view) for row in taught])
    agents.study(agent, services, on_step)
    used, held_out = (len({names[place] for place in part}) for part in (learned, tested))
    return _Trained(agent, used, held_out, 0, [evaluated(table, agent) for table in tables])


def _live(arguments: argparse.Namespace, config: Any) -> _Trained | int:
    """A run that begins untrained, in a folder beside the agent until it is trained.

    The exit status where it was stopped, or the service is gone; the same command goes on.
    """
    service = open_named_service(arguments)
    names = find(arguments.images, say)
    config = config.replace(encodings=tuple(e.name for e in encodings(arguments)))
    learned, tested = _split(arguments, names, np.random.default_rng(arguments.seed))
    pilot = AdaCompress.untrained(config, extractor=arguments.extractor, seed=arguments.seed)
    pilot.controller.early = False
    settings = {"service": arguments.service, "seed": arguments.seed, "preset": config.preset}
    settings |= {"steps": config.training_steps, "encodings": list(config.encodings)}
    state = StateFolder(_state_path(arguments), settings)
    try:
        lines = read_lines(state.log_path)
        stream = Stream(
            arguments.images,
            pilot,
            service,
            state,
            pixel_limit=arguments.pixel_limit,
            wait=60,
            once="",
            say=say,
        )
        taught = [names[place] for place in learned]
        for line in lines:
            if line["error"] is None and line["image"] not in taught:
                raise ValueError(
                    f"{state.path}: has learned from {line['image']}, no image to train on now; "
                    "name the same ones, or another agent with -o"
                )
        measured = sum(line["accuracy"] is not None for line in lines)
        if lines and not arguments.quiet:
            say(f"{len(lines)} uploads were done before")
        progress = Progress("train", config.training_steps - measured, arguments.quiet)
        order = _passes(taught, arguments.seed, lines)
        with stop_signal() as stop:
            for line in stream.send(order, lambda: stop.signal or not pilot.controller.initial):
                lines.append(line)
                if line["accuracy"] is not None:
                    progress.advance(f"epsilon {line['epsilon']:.2f}")
                elif trouble := line["error"] or line["fault"]:
                    say_of(line["image"], trouble)
    finally:
        state.close()
    if pilot.controller.initial:
        if stream.gone:
            say(f"adacompress: {stream.gone}")
        say(f"adacompress: stopped after {len(lines)} uploads; run the same command to go on")
        return 128 + stop.signal if stop.signal else 1
    pilot.agent.stamp |= {
        "service": arguments.service,
        "seed": arguments.seed,
        "trained_on": sorted({line["sha256"] for line in lines if line["error"] is None}),
    }
    failed = {line["image"] for line in lines if line["error"] is not None}
    used = {line["image"] for line in lines} - failed
    return _Trained(pilot.agent, len(used), len(tested), len(failed), [])


def _passes(names: list[str], seed: int, lines: list[dict[str, Any]]) -> Iterator[str]:
    """Pass after pass over the images, each in an order of its own, but for what the log has of it.

    An image that could not be used is passed over from then on. Raises ValueError where no image is
    left, or none has had a label in two passes.
    """
    logged = Counter(line["image"] for line in lines)  # passes that each image has had
    unusable = {line["image"] for line in lines if line["error"] is not None}
    for number in count():
        for place in np.random.default_rng([seed, number]).permutation(len(names)):
            name = names[place]
            if name in unusable or logged[name] > number:
                continue
            yield name
            if lines and lines[-1]["image"] == name and lines[-1]["error"] is not None:
                unusable.add(name)
        latest = lines[-2 * len(names) :]
        if len(unusable) == len(names):
            raise ValueError("no image can be used to learn from; name another folder")
        if len(latest) == 2 * len(names) and all(line["accuracy"] is None for line in latest):
            raise ValueError("the service gave no label for any image: nothing to learn from")


def _split(
    arguments: argparse.Namespace, names: list[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places of images to train on and to test on; tested ones named in a file, or by chance.

    Images whose names differ in nothing but the ending, such as a photograph and its copy by night
    in several tables, are in one part.
    """
    stems = [Path(name).with_suffix("").as_posix() for name in names]
    if arguments.test_images:
        named = set(read_names(arguments.test_images))
        if unknown := sorted(named - set(names)):
            raise ValueError(f"{arguments.test_images}: there is no image {unknown[0]!r}")
        is_tested = np.array([name in named for name in names])
    else:
        distinct = sorted(set(stems))
        _, tested = split(len(distinct), arguments.test_share, rng)
        held_out = {distinct[place] for place in tested}
        is_tested = np.array([stem in held_out for stem in stems])
    if is_tested.all() or not is_tested.any():
        raise ValueError(
            f"{arguments.test_images}: names {is_tested.sum()} of the {len(names)} images; "
            "some must be named and some left to train on"
        )
    return np.flatnonzero(~is_tested), np.flatnonzero(is_tested)


def _state_path(arguments: argparse.Namespace) -> Path:
    return Path(f"{arguments.output}.partial")
