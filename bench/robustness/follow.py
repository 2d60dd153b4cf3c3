"""Days beside a camera in minutes: is a photograph lost, sent twice or learned from twice?

A writer drops photographs into a folder: most slowly and under their final names, some renamed into
place, some replaced later, some deleted. `run --follow` sends them to a local server of which one
request in five fails, and which is away altogether twice, while it is killed and told to stop at
random moments, and started again.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import adacompress_ref as ac
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.running import state as states
from adacompress_ref.server.standin import Server
from adacompress_ref.services import Service

from ..command import PHOTOGRAPHS, reported
from .faults import crops, use

CLIENT = "rekognition"
FAULTS = ("timeout", "reset", "429", "500", "503")  # that come before an answer, and its bill
HOLD, TIMEOUT, AWAY = 3.0, 2.0, 5.0  # seconds
SETTLE, LONGEST_PAUSE = 0.8, 0.2  # seconds; the second of a writer, within one file
PATIENCE = 300.0  # seconds for what is left in the end
STOPS_WITHIN = 5.0  # seconds
WITHOUT_NEWS = 30.0  # seconds after which it is stopped anyway


class Counted:
    """A service that counts its answers to each payload."""

    def __init__(self, service: Service) -> None:
        self.service, self.answers = service, Counter[str]()

    def label(self, payload: bytes) -> Any:
        """Its labels."""
        self.answers[hashlib.sha256(payload).hexdigest()] += 1
        return self.service.label(payload)


class Writer(threading.Thread):
    """Writes photographs in five ways; `there` are the contents that lie in the folder for good."""

    def __init__(self, folder: Path, files: list[bytes], rng: np.random.Generator) -> None:
        super().__init__(daemon=True)
        self.folder, self.files, self.rng = folder, files, rng
        self.there: dict[str, str] = {}  # digests by names
        self.ways: Counter[str] = Counter()

    def run(self) -> None:
        """All of them; names are in no order, and half of them lie deeper."""
        spare = self.files[: len(self.files) // 10]
        for number, file in enumerate(self.files[len(spare) :]):
            way = self.rng.choice(["slow"] * 6 + ["renamed", "replaced", "deleted"])
            self.ways[way] += 1
            name = f"{'card/' * (number % 2)}{self.rng.integers(10**6):06}-{number:05}.jpg"
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            if way == "renamed":
                partial = path.with_suffix(".part")
                partial.write_bytes(file)
                partial.rename(path)
            else:
                self.slowly(path, file)
            if way in ("replaced", "deleted"):
                time.sleep(self.rng.uniform(0, 3 * SETTLE))
            if way == "deleted":
                path.unlink()
                continue
            if way == "replaced" and spare:
                file = spare.pop()
                self.slowly(path, file)
            self.there[name] = hashlib.sha256(file).hexdigest()

    def slowly(self, path: Path, file: bytes) -> None:
        """In three parts."""
        with open(path, "wb", buffering=0) as stream:
            for start in range(0, len(file), len(file) // 3 + 1):
                stream.write(file[start : start + len(file) // 3 + 1])
                time.sleep(self.rng.uniform(0, LONGEST_PAUSE))


def command(folder: Path, state: Path) -> list[str]:
    """The run."""
    return [
        *(sys.executable, "-m", "adacompress_ref", "run", "--follow", "--quiet", "--json"),
        *("--images", str(folder), "--service", CLIENT, "--state", str(state)),
        *("--every", "0.3", "--settle", str(SETTLE), "--timeout", str(TIMEOUT)),
    ]


def log(state: Path) -> list[dict[str, Any]]:
    """The whole lines of the log so far."""
    path = state / "log.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def go_away(server: Server, ended: threading.Event, gap: float) -> None:
    """Twice, for a while, every request fails."""
    usual = server.error_rate
    for _ in range(2):
        if ended.wait(gap):
            return
        server.error_rate = 1.0
        ended.wait(AWAY)
        server.error_rate = usual


def run_and_stop(
    folder: Path, state: Path, how: signal.Signals, images: int, seconds: float
) -> tuple[float, int]:
    """Start a run, stop it so many seconds after so many images: how long that took, its status.

    With -1 images it is so many seconds after the start.
    """
    wanted, end = len(log(state)) + images, time.monotonic() + WITHOUT_NEWS
    with subprocess.Popen(command(folder, state), stdout=subprocess.DEVNULL) as process:
        while images >= 0 and len(log(state)) < wanted and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(seconds)
        process.send_signal(how)
        started = time.monotonic()
        status = process.wait()
        return time.monotonic() - started, status


def measure(images: int, stops: int, error_rate: float, seed: int) -> dict[str, Any]:
    """The whole of it, with so many stops of either kind."""
    rng = np.random.default_rng(seed)
    files = [photo.file for photo in crops(PHOTOGRAPHS, images + images // 9, rng)]
    counted, ended = Counted(ac.open_service("squeezenet", 1)), threading.Event()
    server = Server(counted, error_rate=error_rate, faults=FAULTS, hold=HOLD, seed=seed)
    with tempfile.TemporaryDirectory() as made, server, use(server):
        folder, state = Path(made, "photos"), Path(made, "state")
        folder.mkdir()
        writer = Writer(folder, files, rng)
        writer.start()
        away = threading.Thread(target=go_away, args=(server, ended, stops / 2), daemon=True)
        away.start()
        hows = rng.permutation([signal.SIGKILL, signal.SIGTERM] * stops)
        slowest, statuses = 0.0, Counter[int]()
        for number, how in enumerate(map(signal.Signals, hows.tolist()), 1):
            after = -1 if rng.random() < 0.2 else int(rng.integers(images // stops // 2 + 1))
            seconds, status = run_and_stop(folder, state, how, after, rng.uniform(0, 1.5))
            if how == signal.SIGTERM:
                slowest = max(slowest, seconds)
                statuses[status] += 1
            print(f"{how.name} {number}/{len(hows)}: {len(log(state))} lines", file=sys.stderr)
        writer.join()
        with subprocess.Popen(command(folder, state), stdout=subprocess.DEVNULL) as process:
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                sent = Counter(line["sha256"] for line in log(state) if not line["error"])
                if not writer.there.values() - sent.keys():
                    break
                time.sleep(0.2)
            process.terminate()
        ended.set()
        lines = log(state)
        kept = states.load(state)
        assert kept
        controller, fields, _ = kept
    encodings = [line["encoding"] for line in lines if line["accuracy"] is not None]
    measured = len(encodings)
    reference = f"jpeg-q{REFERENCE.quality}"  # the same pixels: nothing is learned of it
    answers = sum(
        1 + (line["compressed_labels"] is not None) for line in lines if not line["error"]
    )
    return {
        "photographs": len(writer.there),
        "ways": dict(writer.ways),
        "lost": len(writer.there.values() - sent.keys()),
        "sent_twice": sum(times > 1 for times in sent.values()),
        "learned_from_twice": fields["totals"]["measured"] - measured,
        "in_memory": len(controller.agent.replay),
        "measured": measured,
        "measured_below_the_reference": sum(name != reference for name in encodings),
        "numbers_in_order": [line["number"] for line in lines] == [*range(1, len(lines) + 1)],
        "answers_paid_for_again": counted.answers.total() - answers,
        "kills": stops,
        "slowest_stop": round(slowest, 1),
        "statuses": {str(status): times for status, times in sorted(statuses.items())},
        "failures": sum(line["error"] is not None for line in lines),
        "requests": server.requests,
        "faults": dict(sorted(server.faults.items())),
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: nothing is lost or sent twice, and every stop is quick; 1: something is."""
    report = reported(
        *("bench.robustness.follow", __doc__, measure, arguments),
        images=500,
        stops=20,
        error_rate=0.2,
        seed=0,
    )
    wrong = ("lost", "sent_twice", "learned_from_twice")
    paid = report["answers_paid_for_again"] > 2 * report["kills"]  # two uploads may be in flight
    slow = report["slowest_stop"] > STOPS_WITHIN
    ok = (
        report["numbers_in_order"] and report["in_memory"] == report["measured_below_the_reference"]
    )
    return 1 if any(report[name] for name in wrong) or paid or slow or not ok else 0


if __name__ == "__main__":
    sys.exit(main())
