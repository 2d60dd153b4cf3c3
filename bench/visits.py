"""Visits to a scenery: random crops at random scales, uploaded once to several services.

`python -m bench.visits [--data DIR]`

A camera never sees the same photograph twice, so each visit is a crop of its own. Every encoding
of each visit is labelled by all services at once and kept in `results/cache/visits`; streams of
`bench.scenery` are drawn from there.
"""

from __future__ import annotations

import functools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from adacompress_ref.cli.progress import Progress
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, TEN_LEVELS, Encoding
from adacompress_ref.imaging.extractor import Extractor, pool, tensor
from adacompress_ref.running.folder import find
from adacompress_ref.running.labelling import own_sizes
from adacompress_ref.storage.arrays import load_arrays, save_arrays
from adacompress_ref.tables.table import Source, Table
from adacompress_ref.views import drift
from adacompress_ref.views.features import POOLINGS, RESIZES

from . import models, night
from .command import parser
from .tables import LADDER, WORKERS, answers, open_named

SERVICES = ("squeezenet", "efficientnet-lite0")
_WEBP = tuple(encoding for encoding in LADDER if encoding.format == "webp")
ENCODINGS: tuple[Encoding, ...] = (*TEN_LEVELS, *_WEBP)
WEBP = (*_WEBP, REFERENCE)  # the rungs of `ladder` where WebP is taken, but for jpeg-q45
SCENERIES = {"day": ("imagenet", 1.0), "night": ("imagenet", 1 / 16), "lowlight": ("lowlight", 1.0)}
COUNTS = {"day": 1000, "night": 700, "lowlight": 300}


@functools.cache
def _machines() -> tuple:
    return Extractor(threads=1), [open_named(name) for name in SERVICES]


def visit(path: str, seed: int, exposure: float) -> dict[str, np.ndarray]:
    """One crop of a photograph: sizes, labels, scores and what the state is made of."""
    extractor, services = _machines()
    name = Path(path).name
    rng = night.generator(seed, "visit", name, str(exposure))
    pixels = night.crop(images.read(path).pixels, rng)
    if exposure < 1:
        pixels = night.simulate(pixels, exposure, rng)
    picture = Image.fromarray(pixels)
    payloads = [codec.encode(picture, each) for each in (*ENCODINGS, REFERENCE)]
    answered = [answers(service, payloads) for service in services]
    labels, scores = (np.stack(column) for column in zip(*answered, strict=True))
    context = drift.context(extractor, picture, len(payloads[-1]))
    maps = [extractor.run(tensor(picture, resize)[None]) for resize in RESIZES]
    features = np.stack([np.stack([pool(m, each)[0] for each in POOLINGS]) for m in maps])
    sizes = np.array([len(payload) for payload in payloads])
    own = own_sizes(picture, (*ENCODINGS, REFERENCE), sizes)
    return {
        "context": context, "bytes": sizes, "own_bytes": own,
        "labels": labels, "scores": scores,
        "features": features.astype(np.float16), "photograph": np.array(name),
    }  # fmt: skip


def collect(scenery: str, data: Path, cache: Path = models.CACHE) -> dict[str, np.ndarray]:
    """All visits to a scenery, [visits, ...]; made if they are not there."""
    path = cache / "visits" / f"{scenery}.npz"
    if path.exists():
        kept = load_arrays(path)[1]
        if "own_bytes" in kept and "drift" not in kept:  # else of another version
            return kept
    folder, exposure = SCENERIES[scenery]
    names = find(data / folder)
    jobs = [
        (str(data / folder / names[n % len(names)]), n // len(names), exposure)
        for n in range(COUNTS[scenery])
    ]
    progress = Progress(scenery, len(jobs))
    made = []
    with ProcessPoolExecutor(WORKERS) as executor:
        for arrays_of_visit in executor.map(visit, *zip(*jobs, strict=True), chunksize=4):
            made.append(arrays_of_visit)
            progress.advance()
    arrays = {key: np.stack([each[key] for each in made]) for key in made[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, {"encodings": [each.name for each in ENCODINGS]}, arrays)
    return arrays


def table(visits: dict[str, np.ndarray], service: str, encodings: tuple[Encoding, ...]) -> Table:
    """The visits as a table of one service and some of the encodings."""
    columns = [ENCODINGS.index(each) for each in encodings]
    every = [*columns, len(ENCODINGS)]
    place = SERVICES.index(service)
    names = [f"{n:05d}-{name}" for n, name in enumerate(visits["photograph"])]
    return Table(
        Source(service, encodings, Extractor(threads=1).sha256),
        names,
        names,
        np.zeros(len(names), np.int64),
        visits["bytes"][:, every],
        visits["own_bytes"][:, every],
        visits["labels"][:, place][:, every],
        visits["scores"][:, place][:, every],
        visits["features"],
        visits["context"],
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    options = parser("bench.visits", __doc__, data=True, as_json=False).parse_args(arguments)
    for scenery in SCENERIES:
        print(f"{scenery}: {len(collect(scenery, options.data)['bytes'])} visits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
