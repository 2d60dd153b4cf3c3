"""Images per second of `label` and `compress`, by workers, and beside peers; time to first file.

`python -m bench.speed.throughput [--images 150] [--repetitions 3] [--json]`

Each command is run as a user would, start of the processes included, on photographs of 500 x 375
pixels laid together from those in `tests/photos`. Its rate is that of the median of several runs,
in turns. Peers get the same files: jpegoptim with all of them, cwebp with one after the other, for
a short side of 288 pixels, and a new Python that reads and writes with Pillow, at quality 15.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from shutil import which

import numpy as np

from ..command import parser
from .latency import fill
from .ratios import Row, duration, missing, one_core, quartiles, show

OURS = (sys.executable, "-m", "adacompress_ref")
COMMANDS = {
    "label": "label --images {photos} --service squeezenet -o {output}.npz",
    "compress, authors": "compress {photos} -o {output} --preset authors",
    "compress, tuned": "compress {photos} -o {output}",
}
# How each is run: what is added, and whether on one core, where a worker has one thread
WAYS = {
    "1 worker on one thread": (["--workers", "1"], True),
    "1 worker": (["--workers", "1"], False),
    "2 workers": (["--workers", "2"], False),
    "default": ([], False),
}
TARGETS = {"label": ">= 1.8", "compress, tuned": ">= 1.8"}
FIRST = "start of compress to first file, tuned"
FEWER = 3  # label, which makes every level, gets so many times fewer
FASTEST = ">= 0.95"  # of the default against the best number of workers; runs differ by so much
PILLOW = """
import os, sys
from PIL import Image
for name in os.listdir(sys.argv[1]):
    with Image.open(os.path.join(sys.argv[1], name)) as image:
        image.save(os.path.join(sys.argv[2], name), quality=15)
"""


def command(name: str, way: str, photos: Path, made: Path) -> float:
    """Seconds of one of ours."""
    options, alone = WAYS[way]
    output = Path(tempfile.mkdtemp(dir=made)) / "output"
    arguments = COMMANDS[name].format(photos=photos, output=output).split()
    with one_core() if alone else nullcontext():
        return seconds([*OURS, *arguments, *options, "--quiet"])


def seconds(*calls: list[str]) -> float:
    """Of commands one after another."""
    started = time.perf_counter()
    for call in calls:
        subprocess.run(call, check=True, capture_output=True)
    return time.perf_counter() - started


def first_file(photos: Path, made: Path) -> float:
    """Seconds from the start of `compress` to a first file under its name."""
    output = Path(tempfile.mkdtemp(dir=made)) / "output"
    started = time.perf_counter()
    call = [*OURS, "compress", str(photos), "-o", str(output), "--quiet"]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL) as process:
        while not list(output.glob("[!.]*.jpg")):
            if process.poll():
                raise RuntimeError("compress has failed")
            time.sleep(0.002)
        return time.perf_counter() - started


def jpegoptim(photos: Path, made: Path) -> float:
    files = map(str, photos.iterdir())
    return seconds(["jpegoptim", "--max=15", "--quiet", "--overwrite", f"--dest={made}", *files])


def cwebp(photos: Path, made: Path) -> float:
    how = ["cwebp", "-quiet", "-resize", "0", "288"]
    return seconds(
        *([*how, str(path), "-o", str(made / f"{path.stem}.webp")] for path in photos.iterdir())
    )


def pillow(photos: Path, made: Path) -> float:
    return seconds([sys.executable, "-c", PILLOW, str(photos), str(made)])


PEERS = {
    "jpegoptim --max=15": (jpegoptim, "jpegoptim"),
    "cwebp, 288 pixels": (cwebp, "cwebp"),
    "a Pillow loop, quality 15": (pillow, sys.executable),
}


def in_turns(jobs: dict[str, Callable[[], float]], repetitions: int) -> dict[str, np.ndarray]:
    """The seconds that each job returns [repetitions], one after the other, again and again."""
    turns = [[job() for job in jobs.values()] for _ in range(repetitions)]
    return dict(zip(jobs, np.array(turns).T, strict=True))


def rate(name: str, images: int, spent: np.ndarray) -> Row:
    """Images a second; the quartiles of the runs' too."""
    return Row(name, images / float(np.median(spent)), "/s", spread=quartiles(images / spent))


def faster(name: str, spent: np.ndarray, other: np.ndarray, target: str | None, note: str) -> Row:
    """By how much, of the medians; the quartiles of the runs' too."""
    value = float(np.median(other) / np.median(spent))
    return Row(name, value, "x", target, quartiles(other / spent), note)


def ours(name: str, photos: Path, made: Path, repetitions: int) -> list[Row]:
    """A command's rates, and their ratios."""
    images = len(list(photos.iterdir()))
    jobs = {way: partial(command, name, way, photos, made) for way in WAYS}
    spent = in_turns(jobs, repetitions)
    rows = [rate(f"{name}, {way}", images, spent[way]) for way in WAYS]
    alone, one, two, default = (spent[way] for way in WAYS)
    title, note = f"{name}, 2 workers / 1", "over one worker on one thread"
    rows.append(faster(title, two, alone, TARGETS.get(name), note))
    best, note = (one, "here 1") if np.median(one) < np.median(two) else (two, "here 2")
    title = f"{name}, default / the better of 1 and 2 workers"
    return [*rows, faster(title, default, best, FASTEST, note)]


def beside(photos: Path, made: Path, repetitions: int) -> list[Row]:
    """Rates of peers, and the time to a first file."""
    images = len(list(photos.iterdir()))
    jobs = {name: partial(job, photos, made) for name, (job, tool) in PEERS.items() if which(tool)}
    jobs[FIRST] = partial(first_file, photos, made)
    spent = in_turns(jobs, repetitions)
    rows = []
    for name, (_, tool) in PEERS.items():
        title = f"{name}, the same files as compress"
        rows.append(rate(title, images, spent[name]) if which(tool) else missing(title, tool))
    return [*rows, duration(FIRST, spent[FIRST], unit="s")]


def measured(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photos, few, made = (Path(folder, name) for name in ("photos", "few", "made"))
        made.mkdir()
        fill(photos, options.images)
        fill(few, -(-options.images // FEWER))
        for name in COMMANDS:
            rows += ours(name, few if name == "label" else photos, made, options.repetitions)
        return rows + beside(photos, made, options.repetitions)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    bench = parser("bench.speed.throughput", __doc__)
    bench.add_argument("--images", type=int, default=150, metavar="N")
    bench.add_argument("--repetitions", type=int, default=3, metavar="N")
    options = bench.parse_args(arguments)
    return show(measured(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
