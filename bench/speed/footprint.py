"""What it takes to be there at all: time to import and to decide, memory, disk.

`python -m bench.speed.footprint [--repetitions 20] [--json]`

Each figure is of new processes. Peers, where installed: the imports of PyTorch and of TensorFlow.
Installed size: the files of the four packages of the runtime with all that they need, and this
package with its weights.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import adacompress_ref
from adacompress_ref.storage import artifacts

from ..command import parser
from .latency import fill
from .ratios import Row, duration, missing, show

RUNTIME = ("numpy", "pillow", "onnxruntime", "requests")
PEERS = {"PyTorch": "torch", "Keras on TensorFlow": "tensorflow"}
COPIES = 40  # photographs of 500 x 375 pixels
NOTHING = "pass"
IMPORT = "import adacompress_ref"
DECIDE = "import adacompress_ref as ac; ac.AdaCompress.load({preset!r}).choose({photo!r})"
# `run` with a full memory: the preset's own capacity, filled with random transitions
RUN = """
import numpy as np, adacompress_ref as ac
from tempfile import TemporaryDirectory
from adacompress_ref.running.state import StateFolder
from adacompress_ref.running.stream import Stream
pilot = ac.AdaCompress.load("paper", threads=2)
rng, agent = np.random.default_rng(0), pilot.agent
for _ in range(pilot.config.replay_capacity):
    agent.replay.add(rng.random(1280, np.float32), 0, 0.5, rng.random(1280, np.float32))
place = TemporaryDirectory()
state = StateFolder(place.name, {{}})
stream = Stream({folder!r}, pilot, ac.open_service("squeezenet", 2), state, once="")
agent.learn()
lines = list(stream.send(__import__("os").listdir({folder!r}), lambda: False))
assert len(agent.replay) == 2000 and all(line["error"] is None for line in lines)
"""


def process(code: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a new interpreter that runs `code`.

    Modules are compiled once and kept, as pip does it for those that it installs.
    """
    variables = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], variables)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"a measured process failed: {code:.60}")
    return seconds, usage.ru_maxrss / 1024  # KiB on Linux


def measured(code: str, repetitions: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of several processes, after a first."""
    return tuple(np.array([process(code) for _ in range(1 + repetitions)])[1:].T)  # type: ignore


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def installed() -> tuple[float, list[str]]:
    """Megabytes of the runtime, and the names of its packages."""
    names: list[str] = []
    waiting = list(RUNTIME)
    total = 0
    while waiting:
        name = waiting.pop()
        if name in names:
            continue
        names.append(name)
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or []:
            path = Path(str(distribution.locate_file(file)))
            total += path.stat().st_size if path.is_file() else 0
        for need in distribution.requires or []:
            if ";" not in need:
                waiting.append(re.split(r"[^\w.-]", need)[0].lower())
    own = [Path(adacompress_ref.__file__).parent, artifacts.find("mobilenetv2.onnx").parent]
    total += sum(map(size_of, own if own[0] not in own[1].parents else own[:1]))
    return total / 1e6, sorted(names)


def rows(options: argparse.Namespace) -> list[Row]:
    often, found = options.repetitions, []
    empty, _ = measured(NOTHING, often)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "photos"
        fill(folder, COPIES)
        small = folder / "0.jpg"
        alone, _ = measured(IMPORT, often)
        found.append(duration("import of the package", alone - np.median(empty), "<= 0.15", "s"))
        for preset in ("authors", "tuned"):
            seconds, memory = measured(DECIDE.format(preset=preset, photo=str(small)), often)
            found.append(
                duration(f"cold start to first decision, {preset}", seconds, "<= 0.3", "s")
            )
            found.append(Row(f"peak memory of one decision, {preset}", float(max(memory)), "MB"))
            if preset == "tuned":
                decided = float(np.median(seconds))
        for title, module in PEERS.items():
            name = f"import of {title} / cold start to first decision, tuned"
            target = ">= 5" if module == "torch" else None
            if importlib.util.find_spec(module) is None:
                found.append(missing(name, title, target))
                continue
            theirs, _ = measured(f"import {module}", max(often // 4, 3))
            found.append(Row(name, float(np.median(theirs)) / decided, "x", target))
        _, memory = measured(RUN.format(folder=str(folder)), 1)
        found.append(
            Row("peak memory of run, full memory of 2,000", float(max(memory)), "MB", "<= 200")
        )
    total, names = installed()
    found.append(Row("installed size", total, "MB", "<= 200", note=", ".join(names)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.footprint", __doc__)
    command.add_argument("--repetitions", type=int, default=20, metavar="N")
    options = command.parse_args(arguments)
    return show(rows(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
