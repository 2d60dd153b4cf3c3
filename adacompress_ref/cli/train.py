"""`adacompress train`: Algorithm 1, on a table or live."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import training
from ..core.agent import AgentError, DQNAgent
from ..core.config import REFERENCE, Config, preset
from ..imaging import codec
from ..imaging import read as images
from ..imaging.extractor import Extractor
from ..running.live import LiveImage
from ..services import RefusedError, check_limits
from ..storage import files
from ..storage.files import ImageError
from ..tables.environment import Environment, RecordedImage
from ..tables.evaluation import evaluate
from ..tables.table import Table, TableError
from ..views.drift import preprocessing
from .common import check_output, encodings, open_named_service, read_names, say_of
from .evaluate import show_policies
from .progress import Progress


@dataclass(frozen=True)
class _Material:
    """What there is to learn from: images, and where they come from."""

    names: list[str]
    service: str
    extractor: str  # SHA-256
    digests: list[str]
    entry: Callable[[int, Config], Any]  # the place of an image -> what an Environment takes


def main(arguments: argparse.Namespace) -> int:
    """Algorithm 1, on a table or live."""
    check_output(arguments.output, map(Path, arguments.table or []))
    if Path(arguments.output).exists():
        try:
            DQNAgent.load(arguments.output)
        except AgentError as error:
            raise ValueError(f"{arguments.output}: exists and is no agent; name another") from error
    config = preset(arguments.preset)
    if arguments.steps:
        config = config.replace(training_steps=arguments.steps)
    rng = np.random.default_rng(arguments.seed)
    tables = [Table.load(path) for path in arguments.table or []]
    failed = 0
    if tables:
        if set(config.encodings) <= set(tables[0].source.encodings):
            tables = [table.only(config.encodings) for table in tables]
        else:
            config = config.replace(encodings=tables[0].source.encodings)
        material = _recorded(tables, arguments.table)
    else:
        config = config.replace(encodings=encodings(arguments))
        material, failed = _live(arguments)
    trained, tested = _split(arguments, material.names, rng)
    stamp = {
        "extractor": preprocessing(material.extractor, config),
        "service": material.service,
        "seed": arguments.seed,
        "trained_on": sorted({material.digests[place] for place in trained}),
    }
    progress = Progress("train", config.training_steps, arguments.quiet)
    recent: deque[float] = deque(maxlen=100)

    def on_step(agent: DQNAgent, reward: float) -> None:
        recent.append(reward)
        progress.advance(f"reward {np.mean(recent):.3f} epsilon {agent.epsilon:.2f}")

    entries = [material.entry(int(place), config) for place in trained]
    environment = Environment(entries, config, rng)
    agent = training.train(environment, config, rng, stamp=stamp, on_step=on_step)
    agent.save(arguments.output)
    report: dict[str, Any] = {
        "agent": arguments.output,
        "preset": config.preset,
        "steps": config.training_steps,
        "trained_on": len({material.names[place] for place in trained}),
        "held_out": len({material.names[place] for place in tested}),
        "evaluation": [evaluate(each, agent) for each in tables],
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        print(
            f"{arguments.output}: trained on {report['trained_on']} images, "
            f"{report['held_out']} held out"
        )
        for evaluation in report["evaluation"]:
            show_policies(evaluation)
    return 1 if failed else 0


def _recorded(tables: list[Table], paths: list[str]) -> _Material:
    """The rows of all tables, one after another."""
    first = tables[0].source
    for table, path in zip(tables, paths, strict=True):
        source = table.source
        if (source.encodings, source.extractor) != (first.encodings, first.extractor):
            raise TableError(f"{path}: has other encodings or another extractor than {paths[0]}")
    rows = [(table, place) for table in tables for place in range(len(table.images))]
    return _Material(
        [table.images[place] for table, place in rows],
        ", ".join(dict.fromkeys(table.source.service for table in tables)),
        first.extractor,
        [table.digests[place] for table, place in rows],
        lambda row, config: RecordedImage(*rows[row], config),
    )


def _live(arguments: argparse.Namespace) -> tuple[_Material, int]:
    """The readable images of a folder, and how many are not; each is opened anew when drawn."""
    folder, service = Path(arguments.images), open_named_service(arguments)
    extractor = Extractor(arguments.extractor, at_once=preset(arguments.preset).state == "drift")
    names, digests, failed = [], [], 0
    for name in files.find(folder):
        try:
            photo = images.read(folder / name, name=name, pixel_limit=arguments.pixel_limit)
            check_limits(service, codec.encode(photo.picture, REFERENCE))
        except (ImageError, RefusedError) as error:
            say_of(name, error)
            failed += 1
            continue
        names.append(name)
        digests.append(hashlib.sha256(photo.file).hexdigest())

    def entry(place: int, config: Config) -> Callable[[], LiveImage]:
        path = folder / names[place]

        def open_image() -> LiveImage:
            photo = images.read(path, pixel_limit=arguments.pixel_limit)
            return LiveImage(photo, config, extractor, service)

        return open_image

    return _Material(names, arguments.service, extractor.sha256, digests, entry), failed


def _split(
    arguments: argparse.Namespace, names: list[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places of images to train on and to test on; tested ones named in a file, or by chance.

    Images whose names differ in nothing but the ending, such as a photograph and its copy by night
    in several tables, are in one part.
    """
    distinct = sorted({Path(name).with_suffix("").as_posix() for name in names})
    if arguments.test_images:
        named = set(read_names(arguments.test_images))
        if unknown := sorted(named - set(names)):
            raise ValueError(f"{arguments.test_images}: there is no image {unknown[0]!r}")
    else:
        _, tested = training.split(len(distinct), arguments.test_share, rng)
        held_out = {distinct[place] for place in tested}
        named = {each for each in names if Path(each).with_suffix("").as_posix() in held_out}
    tested = np.array([place for place, name in enumerate(names) if name in named], np.int64)
    trained = np.array([place for place, name in enumerate(names) if name not in named], np.int64)
    if not len(tested) or not len(trained):
        raise ValueError(
            f"{arguments.test_images}: names {len(tested)} of the {len(names)} images; "
            "some must be named and some left to train on"
        )
    return trained, tested
