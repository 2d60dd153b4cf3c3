"""From file to answer by the rate of the link, and the rate above which deciding takes longer.

`python -m bench.speed.break_even [--stream 300] [--repetitions 40] [--uploads 10] [--draw PNG]
[--json]`

A policy's time is that from a file to its payload (read, decide, encode), then its bytes over the
link, a round trip of 50 ms, and the service's own time, which is the same for all: that of the
bundled classifier for the reference. The link is given no handshake: its connection is kept. What
is faster at any rate, however high, has null in JSON.

Presets are set against always quality 75, and against `jpeg-q15` with Huffman tables of its own, a
level of `tuned`: what needs no agent. Photographs of three sizes are laid together from those in
`tests/photos`. References are included: of a stream of random crops of those photographs, which the
shipped agent sends to the bundled classifier, the share of which quality 75 is sent too. The agent
after that stream chooses the payloads.

Some points are measured: uploads by `tuned`, references as they come, and by the others through
`adacompress serve` behind `bench.speed.link`. Each row's note says whether it is measured or
computed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from adacompress_ref import agents
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.services import Service, ask, open_service
from adacompress_ref.services.facepp import FacePP

from .. import night
from ..command import PHOTOGRAPHS, parser
from .latency import SIZES, mosaic
from .link import Link
from .ratios import PAUSE, Row, duration, in_turns, quartiles, show

RATES = (1, 5, 20, 100)  # Mbit/s
ROUND_TRIP = 0.05  # seconds
PRESETS = tuple(agents.presets())
ALWAYS, FIXED = "always quality 75", "always jpeg-q15"
LEVELS = {ALWAYS: (REFERENCE, False), FIXED: (Encoding.parse("jpeg-q15"), True)}  # own tables
MEASURED = (("500 x 375", 1), ("500 x 375", 20), ("1920 x 1080", 5), ("1920 x 1080", 20))
BY = (ALWAYS, FIXED, "tuned")  # whose uploads are measured
WARM = 2  # uploads before the first that is measured
PHOTOS = 4  # of each size


class Cost(NamedTuple):
    """What an image costs: seconds from file to payload, the median or of each repetition, and
    bytes of all uploads, the mean.
    """

    seconds: Any
    bytes: float


class Point(NamedTuple):
    """A policy's uploads over a link: seconds of each, and of how many the reference was sent."""

    size: str
    rate: float  # Mbit/s
    name: str
    seconds: list[float]
    references: int


# By size: by policy, and the service's own seconds
Costs = dict[str, tuple[dict[str, Cost], float]]


def answered(cost: Cost, megabits: Any, service_seconds: float) -> Any:
    """Seconds from a file to its answer; `megabits` a second. A number, or the cost's or the
    rates' array.
    """
    return cost.seconds + 8 * cost.bytes / (1e6 * megabits) + ROUND_TRIP + service_seconds


def break_even(cost: Cost, other: Cost) -> tuple[float, float]:
    """The rates between which it takes less time than the other, in Mbit/s; (0, 0) if at none."""
    slower, saved = cost.seconds - other.seconds, other.bytes - cost.bytes
    if slower * saved > 0:
        equal = 8 * saved / slower / 1e6
        return (0.0, equal) if slower > 0 else (equal, math.inf)
    return 0.0, math.inf if slower < 0 or saved > 0 else 0.0


def at_level(file: bytes, level: tuple[Encoding, bool]) -> bytes:
    """What is sent of a file where nothing is decided."""
    return codec.encode(images.read(file).picture, level[0], own_tables=level[1])


def references(pilot: AdaCompress, service: Service, count: int) -> float:
    """The share of a stream of so many random crops of which the reference was sent too."""
    pixels = [images.read(path).pixels for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    rng, sent = np.random.default_rng(0), 0
    for number in range(count):
        crop = Image.fromarray(night.crop(pixels[number % len(pixels)], rng))
        file = codec.encode(crop, Encoding("jpeg", None, 92))
        step = pilot.upload(file, service).step
        assert step
        sent += step.reference is not None
    return sent / count


def costs(
    files: list[bytes],
    pilots: dict[str, AdaCompress],
    shares: dict[str, float],
    service: Service,
    repetitions: int,
) -> tuple[dict[str, Cost], float]:
    """Of each policy with photographs of one size, and the service's own seconds."""
    payloads: dict[str, list[int]] = {}
    jobs: dict[str, Callable[[], object]] = {}
    for name, level in LEVELS.items():
        payloads[name] = [len(at_level(file, level)) for file in files]
        jobs[name] = partial(each_in_turn, cycle(files), partial(at_level, level=level))
    for name, pilot in pilots.items():
        payloads[name] = [len(pilot.choose(file, service).payload) for file in files]
        # encodes the reference, as uploads do
        jobs[name] = partial(each_in_turn, cycle(files), partial(pilot.choose, service=service))
    jobs["service"] = partial(ask, service, at_level(files[0], LEVELS[ALWAYS]))
    seconds = in_turns(jobs, repetitions)
    reference = float(np.mean(payloads[ALWAYS]))
    found = {
        name: Cost(seconds[name], float(np.mean(sizes)) + shares.get(name, 0) * reference)
        for name, sizes in payloads.items()
    }
    return found, float(np.median(seconds["service"]))


def each_in_turn(files: Iterator[bytes], policy: Callable[[bytes], object]) -> None:
    policy(next(files))


def median(cost: Cost) -> Cost:
    return cost._replace(seconds=float(np.median(cost.seconds)))


def head(title: str, cost: Cost, other: Cost) -> Row:
    """The break-even of medians; its quartiles are those of repetitions, each with its file."""
    middle, peer = median(cost), median(other)
    low, high = break_even(middle, peer)
    repetitions = [
        break_even(cost._replace(seconds=mine), other._replace(seconds=theirs))[1]
        for mine, theirs in zip(cost.seconds, other.seconds, strict=True)
    ]
    note = "computed: " + " against ".join(
        f"{each.bytes / 1000:.1f} KB, {1000 * each.seconds:.1f} ms" for each in (middle, peer)
    )
    if low:
        note = f"above {low:.3g} Mbit/s alone; {note}"
    return Row(title, high, "Mbit/s", spread=quartiles(np.array(repetitions)), note=note)


@contextmanager
def serving() -> Iterator[int]:
    """The port of `adacompress serve`."""
    command = [sys.executable, "-m", "adacompress_ref", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        try:
            yield urlsplit(json.loads(process.stdout.readline())["url"]).port or 0
        finally:
            process.terminate()


@contextmanager
def behind(port: int, megabits: float) -> Iterator[FacePP]:
    """A client of that server, which sends payloads as they are, over a link of such a rate."""
    with Link(port, megabits, ROUND_TRIP) as link:
        keys = {"FACEPP_ENDPOINT": link.url, "FACEPP_API_KEY": "k", "FACEPP_API_SECRET": "s"}
        with mock.patch.dict(os.environ, keys):
            yield FacePP()


def uploads(
    files: list[bytes], policy: Callable[[bytes, Service], int], service: Service, count: int
) -> tuple[list[float], int]:
    """Seconds from file to answer of so many uploads, and how many of them had a reference."""
    seconds, sent = [], 0
    for number in range(WARM + count):
        time.sleep(PAUSE)
        started = time.perf_counter()
        both = policy(files[number % len(files)], service)
        if number >= WARM:
            seconds.append(time.perf_counter() - started)
            sent += both
    return seconds, sent


def by_level(name: str) -> Callable[[bytes, Service], int]:
    def upload(file: bytes, service: Service) -> int:
        ask(service, at_level(file, LEVELS[name]))
        return 0

    return upload


def by_pilot(pilot: AdaCompress) -> Callable[[bytes, Service], int]:
    def upload(file: bytes, service: Service) -> int:
        step = pilot.upload(file, service).step
        return int(step is not None and step.reference is not None)

    return upload


def points(files: dict[str, list[bytes]], pilot: AdaCompress, count: int) -> Iterator[Point]:
    """What is MEASURED of sizes that are among the files."""
    policies = {name: by_pilot(pilot) if name == "tuned" else by_level(name) for name in BY}
    with serving() as port:
        for size, rate in MEASURED:
            if size not in files:
                continue
            with behind(port, rate) as service:
                for name, policy in policies.items():
                    yield Point(size, rate, name, *uploads(files[size], policy, service, count))


def measured(options: argparse.Namespace) -> tuple[list[Row], Costs, list[Point]]:
    """All rows, break-even first; and what a picture is drawn from."""
    photos = [images.read(path).picture for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    service = open_service("squeezenet", options.threads)
    pilots = {name: AdaCompress.load(name, threads=options.threads) for name in PRESETS}
    shares = {name: references(pilot, service, options.stream) for name, pilot in pilots.items()}
    heads, times, files, found = [], [], {}, {}
    for size, pixels in SIZES.items():
        turned = [photos[first:] + photos[:first] for first in range(PHOTOS)]
        files[size] = [mosaic(each, pixels) for each in turned]
        often = options.repetitions if pixels[0] < 1000 else options.repetitions // 4
        found[size] = here, own = costs(files[size], pilots, shares, service, often)
        for name, other in product(PRESETS, LEVELS):
            heads.append(head(f"{size}: break-even, {name} / {other}", here[name], here[other]))
        for rate, (name, cost) in product(RATES, here.items()):
            seconds = answered(cost, rate, own)
            times.append(duration(title(size, rate, name), seconds, note="computed"))
    for name, share in shares.items():
        note = f"measured: share of {options.stream} uploads in a row"
        heads.append(Row(f"references, {name}", share, note=note))
    seen = list(points(files, pilots["tuned"], options.uploads))
    for point in seen:
        here, own = found[point.size]
        expected = 1000 * answered(median(here[point.name]), point.rate, own)
        note = f"measured: {options.uploads}, {point.references} of them with a reference; "
        values = 1000 * np.array(point.seconds)
        name = f"{title(point.size, point.rate, point.name)}, through serve"
        note += f"computed {expected:.0f}"
        heads.append(Row(name, float(values.mean()), "ms", spread=quartiles(values), note=note))
    return heads + times, found, seen


def title(size: str, rate: float, name: str) -> str:
    return f"{size}, {rate} Mbit/s: file to answer, {name}"


def draw(found: Costs, seen: list[Point], plt: Any) -> Any:
    """Each policy's time over that of always quality 75, by the rate of the link."""
    from ..paper.figures.common import BLUE, GREEN, ORANGE, PINK, SKY, WIDTH

    styles: dict[str, tuple[str, Any]] = {
        FIXED: (GREEN, ":"),
        "authors": (BLUE, "--"),
        "paper": (PINK, "-."),
    }
    styles |= {"tuned": (ORANGE, "-"), "ladder": (SKY, (0, (5, 1)))}
    figure, grid = plt.subplots(1, len(found), figsize=(WIDTH, 3.8), sharey=True, squeeze=False)
    rates = np.geomspace(0.5, 200, 200)
    means = {point[:3]: np.mean(point.seconds) for point in seen}
    for axes, (size, (here, own)) in zip(grid[0], found.items(), strict=True):
        axes.axhline(1, color="black", linewidth=1)
        for name, (colour, line) in styles.items():
            times = [answered(median(here[each]), rates, own) for each in (name, ALWAYS)]
            axes.plot(rates, times[0] / times[1], linestyle=line, color=colour, label=name)
            for rate in RATES:
                if (point := (size, rate, name)) in means:
                    over = means[point] / means[size, rate, ALWAYS]
                    axes.plot(rate, over, "o", color=colour, markeredgecolor="black")
        axes.set(xscale="log", yscale="log", xlabel="rate of the link (Mbit/s)")
        axes.set_yticks((0.25, 0.5, 1, 2, 4))
        axes.minorticks_off()
        axes.set_title(size, fontsize=10)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    grid[0][0].set_ylabel("file to answer, over always quality 75")
    handles, labels = grid[0][0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], marker="o", linestyle="", color="white", mec="black"))
    labels.append("measured")
    figure.legend(handles, labels, loc="lower center", ncols=6, fontsize=8.5, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.break_even", __doc__)
    command.add_argument("--threads", type=int, default=2, metavar="N")
    command.add_argument("--stream", type=int, default=300, metavar="N", help="uploads")
    command.add_argument("--repetitions", type=int, default=40, metavar="N")
    command.add_argument("--uploads", type=int, default=10, metavar="N", help="at each point")
    command.add_argument("--draw", type=Path, metavar="PNG", help="a picture, too")
    options = command.parse_args(arguments)
    plt = None
    if options.draw:
        from ..paper.reproduce import pyplot

        plt = pyplot()
        if plt is None:
            command.error("--draw needs matplotlib (extra plot)")
    rows, found, seen = measured(options)
    if plt is not None:
        draw(found, seen, plt).savefig(options.draw, dpi=150, metadata={"Software": None})
    return show(rows, options.json)


if __name__ == "__main__":
    sys.exit(main())
