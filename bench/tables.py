"""Tables for the figures: every service on every scenery, made once and kept.

`python -m bench.tables [--data DIR] [--service NAME ...] [--scenery NAME ...]`

DIR holds the folders `imagenet`, `bsds` and `lowlight`. Sceneries made from them: `lowlight` is
four random crops of each photograph there; `night` and `night-8` are simulated nights, 1/16 and
1/8 of the light, of 300 photographs of `imagenet` (`bench.night`); `ladder` and
`ladder-night` are `imagenet` and `night` with the encodings of preset `ladder` in place of the ten
levels. The features of a scenery are computed
once, by `adacompress_ref.running.labelling` with the first service.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from adacompress_ref import agents
from adacompress_ref.cli.progress import Progress
from adacompress_ref.core.config import BaseConfig
from adacompress_ref.core.equations import BEST_LABELS
from adacompress_ref.core.roles import Label, Step
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, TEN_LEVELS, parse_all
from adacompress_ref.running import folder as files
from adacompress_ref.running.labelling import Labelling
from adacompress_ref.services import Service, ask, open_service
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.table import Table

from . import models, night
from .command import parser

LADDER = parse_all(agents.preset("ladder").encodings)
BUNDLED = "squeezenet"
SERVICES = (BUNDLED, "efficientnet-lite0", "efficientnet-lite1", "nsfw")
SCENERIES = ("imagenet", "bsds", "lowlight", "night", "night-8", "ladder", "ladder-night")
EXPOSURES = {"night": 1 / 16, "night-8": 1 / 8}
WORKERS = int(os.environ.get("ADACOMPRESS_BENCH_WORKERS", os.cpu_count() or 1))
NIGHT_IMAGES = 300
CROPS = 4  # of each photograph in low light


class Missing(Exception):
    """A table or what it is made from is not there; the message says what to do."""


class Verdict:
    """A service of two classes that says its best label alone: among five, both always are."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def label(self, payload: bytes) -> Sequence[Label]:
        return self.service.label(payload)[:1]


def open_named(name: str, cache: Path = models.CACHE) -> Service:
    """The service called `name` here. Raises Missing."""
    if name == BUNDLED:
        return open_service(name, threads=1)
    made = models.available(cache / "models")
    if name not in made:
        raise Missing(f"{name}: not made yet; run python -m bench.models {name}")
    service = open_service(f"onnx:{made[name]}", threads=1)
    return Verdict(service) if name == "nsfw" else service


def folder_of(scenery: str, data: Path, cache: Path = models.CACHE) -> Path:
    """Where the photographs of a scenery are; made below `cache` if need be. Raises Missing."""
    if scenery.startswith("ladder"):
        return folder_of({"ladder": "imagenet", "ladder-night": "night"}[scenery], data, cache)
    source = data / ("imagenet" if scenery in EXPOSURES else scenery)
    if not source.is_dir():
        raise Missing(f"{source}: no such folder; name the photographs' folder with --data")
    if scenery in ("imagenet", "bsds"):
        return source
    made = cache / "sceneries" / scenery
    names = files.find(source)
    if scenery == "lowlight":
        jobs = [(name, visit) for name in names for visit in range(CROPS)]
    else:
        chosen = np.random.default_rng(0).permutation(len(names))[:NIGHT_IMAGES]
        jobs = [(names[place], 0) for place in sorted(chosen)]
    for name, visit in jobs:
        copy = f"-{visit}" if scenery == "lowlight" else ""
        path = made / f"{Path(name).stem}{copy}.png"
        if not path.exists():
            pixels = images.read(source / name, name=name).pixels
            rng = night.generator(visit, scenery, name)
            if scenery == "lowlight":
                pixels = night.crop(pixels, rng)
            else:
                pixels = night.simulate(pixels, EXPOSURES[scenery], rng)
            night.write_png(pixels, path)
    return made


def answers(service: Service, payloads: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Labels [payloads, 5] and their scores; equal payloads are asked for once."""
    labels = np.full((len(payloads), BEST_LABELS), "", "<U64")
    scores = np.zeros(labels.shape, np.float32)
    asked = {payload: ask(service, payload)[:BEST_LABELS] for payload in dict.fromkeys(payloads)}
    for row, payload in enumerate(payloads):
        best = asked[payload]
        labels[row, : len(best)] = [label.name for label in best]
        scores[row, : len(best)] = [label.score for label in best]
    return labels, scores


def relabelled(table: Table, name: str, service: Service, folder: Path) -> Table:
    """The same uploads, answered by another service; sizes and features stay."""
    rows = []
    progress = Progress(f"{name} {folder.name}", len(table.images))
    for row, image in enumerate(table.images):
        picture = images.read(folder / image, name=image).picture
        encodings = (*table.source.encodings, REFERENCE)
        payloads = [codec.encode(picture, encoding) for encoding in encodings]
        if [len(payload) for payload in payloads] != table.bytes[row].tolist():
            raise Missing(f"{image}: not the photograph that the table was made from")
        rows.append(answers(service, payloads))
        progress.advance(image)
    source = dataclasses.replace(table.source, service=name)
    labels, scores = (np.stack(column) for column in zip(*rows, strict=True))
    return dataclasses.replace(table, source=source, labels=labels, scores=scores)


def resized(table: Table, first: Table) -> Table:
    """A table of an earlier version with the sizes of the bundled service's. Raises Missing."""
    if (table.digests, table.bytes.tolist()) != (first.digests, first.bytes.tolist()):
        raise Missing(f"{table.source.service}: not of the photographs of {BUNDLED}; make it anew")
    return dataclasses.replace(table, own_bytes=first.own_bytes)


def table(service: str, scenery: str, data: Path, cache: Path = models.CACHE) -> Table:
    """The table of a service and a scenery, made if it is not there. Raises Missing."""
    path = cache / "tables" / f"{service}-{scenery}.npz"
    kept = Table.load(path) if path.exists() else None
    if kept and kept.own_bytes.all():
        return kept
    folder = folder_of(scenery, data, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    if service != BUNDLED:
        first = table(BUNDLED, scenery, data, cache)
        if kept:
            made = resized(kept, first)
        else:
            made = relabelled(first, service, open_named(service, cache), folder)
        made.save(path)
        return made
    encodings = LADDER if scenery.startswith("ladder") else TEN_LEVELS
    encodings = kept.source.encodings if kept else encodings
    work = Labelling(folder, BUNDLED, encodings, path)
    progress = Progress(f"{service} {scenery}", len(work.left))
    with ProcessPoolExecutor(WORKERS) as executor:  # each with one thread
        work.run(executor, progress.advance)
    if work.failed:
        raise Missing(f"{folder}: {next(iter(work.failed.values()))}")
    return work.finish()


def trained_agent(
    config: BaseConfig,
    images: Sequence[RecordedImage],
    rng: np.random.Generator,
    on_step: Callable[[Any, Step], None] = lambda agent, step: None,
) -> Any:
    """A new agent after training; `on_step` gets it after each measurement of Algorithm 1."""
    agent = agents.new_agent(config, rng)
    services = [list(own) for _, own in groupby(images, lambda image: id(image.table))]
    agents.study(agent, services, lambda step: on_step(agent, step))
    return agent


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: all are there; 2: something is missing."""
    command = parser("bench.tables", __doc__, data=True, as_json=False)
    command.add_argument("--service", nargs="*", choices=SERVICES, default=SERVICES)
    command.add_argument("--scenery", nargs="*", choices=SCENERIES, default=SCENERIES)
    options = command.parse_args(arguments)
    for scenery in options.scenery:
        for service in options.service:
            try:
                made = table(service, scenery, options.data)
            except Missing as error:
                print(error, file=sys.stderr)
                return 2
            print(f"{service} {scenery}: {len(made.images)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
