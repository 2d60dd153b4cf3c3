"""Damaged inputs to whatever reads one: a typed error, or a right result, and nothing else.

`python -m bench.robustness.fuzz [--json]` damages 20,000 images, files and answers of services, and
reads them in worker processes. Right is an error of that interface in one line of at most 1,000
characters, or a result that can be used. Another exception, more than 5 s, more than 1 GB in memory
or the end of the process are failures; `--only KIND:NUMBER` repeats one.

Each case has a generator of its own, of seed, kind and number. Agents and tables that are put
together anew have a checksum that fits or none, as those of strangers may, so that what stands
behind it is tried as well; a state is the run's own, for which its checksum is enough.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import queue
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from adacompress_ref.cli.progress import Progress
from adacompress_ref.running.folder import find
from adacompress_ref.services.errors import ServiceError
from adacompress_ref.storage import files

from ..command import PHOTOGRAPHS, parser
from .damage.answers import ANSWERS, answer_case
from .damage.general import Case, Random, pick
from .damage.kept import FILES, file_case
from .damage.pictures import MODES, image_case

TIME_LIMIT = 5.0  # seconds
MAKING_LIMIT = 60.0  # seconds for a process to start and to make its input
MEMORY_LIMIT = 1000.0  # megabytes
ADDRESS_LIMIT = 6 * 2**30  # bytes, so that no case takes all of the machine's memory
MESSAGE_LIMIT = 1000  # characters
SHOWN = 50  # failures in the report


class Kind(NamedTuple):
    """How a case is made, and the error that it may end with."""

    make: Callable[[Random, Path, Image.Image], Case]
    error: type[Exception]


KINDS = {
    **{kind: Kind(functools.partial(image_case, kind), files.ImageError) for kind in MODES},
    **{kind: Kind(functools.partial(file_case, kind), FILES[kind][2]) for kind in FILES},
    **{kind: Kind(functools.partial(answer_case, kind), ServiceError) for kind in ANSWERS},
}


class Task(NamedTuple):
    """One case to make and to judge."""

    name: str
    number: int
    kind: Kind
    seed: int = 0
    data: Path | None = None


class Result(NamedTuple):
    """What became of it; `outcome` is typed_errors, correct or failed."""

    kind: str
    number: int
    damage: str
    outcome: str
    what: str
    seconds: float
    megabytes: float


@functools.lru_cache(64)
def opened(path: Path) -> Image.Image:
    image = Image.open(path)
    image.thumbnail((1200, 1200))
    return image.convert("RGB")


@functools.cache
def names_in(folder: Path) -> list[str]:
    return find(folder)


def photograph(rng: Random, data: Path | None) -> Image.Image:
    """A part of a photograph, of 40 to 400 pixels a side; one in twenty may be larger."""
    folder = data if data and rng.random() < 0.5 else PHOTOGRAPHS
    image, most = opened(folder / pick(rng, names_in(folder))), pick(rng, [400] * 19 + [1200])
    width, height = (int(rng.integers(min(40, side), min(most, side) + 1)) for side in image.size)
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def peak(anew: bool = False) -> float:
    """The most megabytes of memory that this process has had, since it was asked for `anew`."""
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except OSError:  # then it is that of its whole life
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def judged(use: Callable[[], None], allowed: type[Exception]) -> tuple[str, str]:
    """The outcome, and what a failure was."""
    try:
        use()
    except allowed as error:
        message = str(error)
        if message.splitlines() == [message] and len(message) <= MESSAGE_LIMIT:
            return "typed_errors", ""
        return "failed", f"a message of {len(message)} characters: {message!r:.300}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return "failed", f"{type(error).__name__} at {where}: {error!s:.300}"
    return "correct", ""


def run_case(task: Task, told: Callable[[str], object] = str) -> Result:
    """Damage one input, hand the damage to `told`, and read the input, in this process."""
    rng = np.random.default_rng([task.seed, zlib.crc32(task.name.encode()), task.number])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        damage, use = task.kind.make(rng, Path(folder), photograph(rng, task.data))
        told(damage)
        peak(anew=True)
        start = time.perf_counter()
        outcome, what = judged(use, task.kind.error)
        seconds = time.perf_counter() - start
        return Result(task.name, task.number, damage, outcome, what, seconds, peak())


def serve(pipe: Any) -> None:
    """A worker process: one task after the other, until it is stopped."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_LIMIT, ADDRESS_LIMIT))
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where libtiff says what it thinks of files
    while True:
        pipe.send(run_case(pipe.recv(), pipe.send))


class Worker:
    """A process that is replaced where a case ends it, does not end, or takes too much memory."""

    process: Any = None

    def run(self, task: Task, time_limit: float) -> Result:
        """What becomes of a task, whatever it does to its process."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, other = context.Pipe()
            self.process = context.Process(target=serve, args=(other,), daemon=True)
            self.process.start()
            other.close()
        result = Result(task.name, task.number, "while it was made", "failed", "", 0.0, 0.0)
        try:
            self.pipe.send(task)
            for limit in (MAKING_LIMIT, time_limit):
                if not self.pipe.poll(limit):
                    self.stop()
                    return result._replace(what=f"no end within {limit:g} s", seconds=limit)
                said = self.pipe.recv()
                result = said if isinstance(said, Result) else result._replace(damage=said)
        except (EOFError, ConnectionError):
            status = self.stop()
            return result._replace(what=f"the process ended with status {status}")
        if result.megabytes > MEMORY_LIMIT:
            self.stop()
            what = f"{result.megabytes:.0f} MB in memory; else {result.outcome} {result.what}"
            return result._replace(outcome="failed", what=what)
        return result

    def stop(self) -> int | None:
        """End the process, if there is one; its exit status."""
        if self.process is None:
            return None
        self.process.join(1 if self.process.exitcode is None else 0)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        status, self.process = self.process.exitcode, None
        return status


def run(tasks: list[Task], workers: int, time_limit: float = TIME_LIMIT) -> Iterator[Result]:
    """The result of each task, in their order."""
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for _ in range(workers):
        idle.put(Worker())

    def one(task: Task) -> Result:
        worker = idle.get()
        try:
            return worker.run(task, time_limit)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(workers) as threads:
        yield from threads.map(one, tasks)
    while not idle.empty():
        idle.get().stop()


def report(results: list[Result]) -> dict[str, Any]:
    """Counts of all and by kind, the slowest, the largest and the first failures."""

    def counts(some: list[Result]) -> dict[str, int]:
        outcomes = Counter(result.outcome for result in some) + Counter(inputs=len(some))
        return {name: outcomes[name] for name in ("inputs", "typed_errors", "correct")}

    failed = [result._asdict() for result in results if result.outcome == "failed"]
    by_kind: dict[str, list[Result]] = {}
    for result in results:
        by_kind.setdefault(result.kind, []).append(result)
    return counts(results) | {
        "failures": len(failed),
        "slowest_seconds": round(max(result.seconds for result in results), 3),
        "peak_megabytes": round(max(result.megabytes for result in results)),
        "by_kind": {kind: counts(some) for kind, some in by_kind.items()},
        "failed": failed[:SHOWN],
    }


def as_text(found: dict[str, Any]) -> str:
    """The report as a table."""
    lines = [f"{'kind':12} {'inputs':>8} {'typed errors':>13} {'correct':>8}"]
    for kind, counts in (found["by_kind"] | {"all": found}).items():
        inputs, errors, correct = (counts[name] for name in ("inputs", "typed_errors", "correct"))
        lines.append(f"{kind:12} {inputs:8,} {errors:13,} {correct:8,}")
    lines += [f"{x['kind']}:{x['number']} ({x['damage']}): {x['what']}" for x in found["failed"]]
    slowest, most = found["slowest_seconds"], found["peak_megabytes"]
    return "\n".join([*lines, f"{found['failures']:,} failures; at most {slowest} s and {most} MB"])


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: no failure; 1: failures."""
    command = parser("bench.robustness.fuzz", __doc__)
    command.add_argument("--cases", type=int, default=20_000, metavar="N")
    command.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    command.add_argument("--only", metavar="KIND:NUMBER", help="repeat one case")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--data", type=Path, metavar="DIR", help="further photographs")
    command.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N")
    command.add_argument("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS")
    options = command.parse_args(arguments)
    kinds = options.kinds
    chosen = [(kinds[n % len(kinds)], n // len(kinds)) for n in range(options.cases)]
    if options.only:
        name, _, number = options.only.partition(":")
        if name not in KINDS or not number.isdigit():
            command.error(f"--only {options.only}: must be KIND:NUMBER, as in {kinds[0]}:0")
        chosen = [(name, int(number))]
    tasks = [Task(name, n, KINDS[name], options.seed, options.data) for name, n in chosen]
    progress, results = Progress("case", len(tasks)), []
    for result in run(tasks, options.workers, options.time_limit):
        results.append(result)
        progress.advance()
    found = report(results)
    print(json.dumps(found) if options.json else as_text(found))
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
