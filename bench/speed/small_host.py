"""What a small host gives: one core, 512 MB, and a run that has sent many images before.

`python -m bench.speed.small_host [--repetitions 10] [--images 40] [--logged 100000] [--json]`

One core: that of `sched_setaffinity`, on which all of the package has one thread. Peaks are of
resident memory. What a process has to be allowed is more: the least RLIMIT_DATA, memory to write
in, used or not, with which a decision goes through; the limit of the address space (RLIMIT_AS)
would count libraries too. A slow disk is not imitated.

`run --follow` goes on from a state of `bench.robustness.long_state`, with as many files still in
the folder; one photograph arrives there, and when it is sent the run is told to stop.
"""

from __future__ import annotations

import argparse
import bisect
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..command import PHOTOGRAPHS, parser
from ..robustness import long_state
from .footprint import DECIDE, measured, process
from .latency import fill
from .ratios import Row, duration, one_core, show
from .throughput import rate

LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_DATA, ({0} << 20, {0} << 20))\n"
STEP, MOST = 32, 64  # megabytes, of which so many steps are tried at most
COMMAND = """
import os, sys
from adacompress_ref.cli.main import main
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
sys.exit(main({arguments!r}))
"""
PRESETS = ("authors", "tuned")
REPEATED = 3  # runs of compress
PATIENCE = 120.0  # seconds for a photograph that has arrived


def compress(photos: Path, output: Path, preset: str) -> str:
    """Code that runs the command."""
    arguments = ["compress", str(photos), "-o", str(output), "--preset", preset, "--quiet"]
    return COMMAND.format(arguments=arguments)


def allowance(code: str) -> float:
    """The least limit in megabytes with which code goes through; infinite above the highest."""

    def goes_through(steps: int) -> bool:
        limited = LIMITED.format(steps * STEP) + code
        return not subprocess.run(
            [sys.executable, "-c", limited], stderr=subprocess.DEVNULL
        ).returncode

    least = bisect.bisect_left(range(1, MOST + 1), True, key=goes_through) + 1
    return least * STEP if least <= MOST else math.inf


def follow(images: Path, state: Path) -> float:
    """Peak megabytes of a run that goes on, sends one photograph more and is stopped."""
    arguments = ["run", "--images", str(images), "--service", "squeezenet", "--state", str(state)]
    code = COMMAND.format(arguments=[*arguments, "--follow", "--every", "1", "--quiet"])
    before = (state / "log.jsonl").stat().st_size
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as run:
        assert run.stderr
        for line in run.stderr:
            if line.startswith(b"following"):
                break
        shutil.copy(next(PHOTOGRAPHS.glob("*.jpg")), images / "new.jpg")
        with open(images / "new.jpg", "ab") as stream:
            stream.write(b"another file")
        end = time.monotonic() + PATIENCE
        while (state / "log.jsonl").stat().st_size == before and time.monotonic() < end:
            time.sleep(0.1)
        sent = (state / "log.jsonl").stat().st_size > before
        run.send_signal(signal.SIGTERM)
        message = run.stderr.read().decode()
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if not sent:
        raise RuntimeError(f"the photograph that arrived was not sent: {message}")
    return usage.ru_maxrss / 1024  # KiB on Linux


def after(logged: int) -> float:
    """Peak megabytes of `run --follow` after so many images."""
    with tempfile.TemporaryDirectory() as made:
        images, state = Path(made, "photos"), Path(made, "state")
        shutil.copytree(PHOTOGRAPHS, images)
        long_state.run(images, state)
        long_state.grow(state, images, logged, logged)
        return follow(images, state)


def rows(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    found, often = [], options.repetitions
    size = f"{options.images} images of 500 x 375"
    with tempfile.TemporaryDirectory() as made:
        photos = Path(made) / "photos"
        fill(photos, options.images)
        for preset in PRESETS:
            code = compress(photos, Path(made) / preset, preset)
            peak = process(code)[1]
            found.append(Row(f"peak memory of compress, {preset}, {size}", peak, "MB", "<= 150"))
            alone = f"one core: compress, {preset}"
            with one_core():
                decide = DECIDE.format(preset=preset, photo=str(photos / "0.jpg"))
                seconds, _ = measured(decide, often)
                spent, peaks = measured(code, REPEATED)
                least = allowance(decide)
            found += [
                duration(f"one core: start to first decision, {preset}", seconds, "<= 0.6", "s"),
                rate(alone, options.images, spent),
                Row(f"one core: peak memory of compress, {preset}", max(peaks), "MB", "<= 150"),
                Row(f"one core: memory to be allowed, {preset}", least, "MB", "<= 512"),
            ]
    with one_core():
        peak = after(options.logged)
    name = f"one core: peak memory of run --follow after {options.logged:,} images"
    return [*found, Row(name, peak, "MB", "<= 150")]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.small_host", __doc__)
    command.add_argument("--repetitions", type=int, default=10, metavar="N")
    command.add_argument("--images", type=int, default=40, metavar="N")
    command.add_argument("--logged", type=int, default=100_000, metavar="N")
    options = command.parse_args(arguments)
    return show(rows(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
