"""Uploads to services that fail in one of nine ways: is anything lost, sent twice or mislearned?

Four running systems, one for each client, send photographs to a local server whose requests fail at
the given rate, and which is away altogether three times. What became of each image is compared with
what the classifier behind the server says of the same bytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import adacompress_ref as ac
from adacompress_ref.core.roles import Upload, measured
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.imaging.read import Photo
from adacompress_ref.running.results import Result
from adacompress_ref.server.standin import Server
from adacompress_ref.services import ask

from ..command import PHOTOGRAPHS, reported

CLIENTS = ("baidu", "facepp", "rekognition", "google")
CROPS = 240  # different ones, each sent many times under many names
DEADLINE, HOLD = 1.5, 2.5  # seconds: a client's patience, and how long a fault takes
AWAY = 4.0  # seconds
PATIENCE = 300.0  # seconds for what waits in the end


def crops(folder: Path, count: int, rng: np.random.Generator) -> list[Photo]:
    """Random cuts of 100 to 300 pixels a side out of a folder's photographs, no two the same."""
    whole = [images.read(path) for path in sorted(folder.glob("*.jpg"))]
    found: dict[bytes, Photo] = {}
    while len(found) < count:
        pixels = whole[rng.integers(len(whole))].pixels
        height, width = (min(int(rng.integers(100, 300)), side) for side in pixels.shape[:2])
        top, left = (
            int(rng.integers(0, most + 1))
            for most in (pixels.shape[0] - height, pixels.shape[1] - width)
        )
        cut = Image.fromarray(pixels[top : top + height, left : left + width])
        file = codec.encode(cut, Encoding("jpeg", None, 92))
        found.setdefault(file, images.read(file, name=f"c{len(found)}"))
    return list(found.values())


class Truth:
    """What the classifier says, asked without a network."""

    def __init__(self, service: ac.Service) -> None:
        self.service = service
        self.known: dict[bytes, list[ac.Label]] = {}
        self.lock = threading.Lock()

    def label(self, payload: bytes) -> list[ac.Label]:
        """Its labels, asked once."""
        with self.lock:
            if payload not in self.known:
                self.known[payload] = ask(self.service, payload)
            return self.known[payload]


class Stream:
    """One client's photographs, and what became of each."""

    def __init__(self, client: str, count: int, photos: list[Photo], truth: Truth, seed: int):
        self.client, self.count, self.photos, self.truth = client, count, photos, truth
        self.found: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.accuracies: list[float] = []  # as they should be in memory
        self.folder = tempfile.TemporaryDirectory()
        self.pilot = ac.AdaCompress.load(seed=seed, threads=1, queue=self.folder.name)

    def run(self) -> None:
        """Send all, then what waits; nothing of a queue that the service never takes is counted."""
        service = ac.open_service(self.client, deadline=DEADLINE)
        for number in range(self.count):
            self.send_waiting(service)
            photo = self.photos[number % len(self.photos)]
            result = self.pilot.upload(photo, service, name=str(number))
            if result.pending:
                self.found["waited"] += 1
                time.sleep(0.05)  # as a camera would
            else:
                self.judge(str(number), result)
        end = time.monotonic() + PATIENCE
        while self.pilot.queue and time.monotonic() < end:
            time.sleep(0.2)
            self.send_waiting(service)
        self.found["wrong_accuracies"] += self.wrong_in_memory()
        self.folder.cleanup()

    def send_waiting(self, service: ac.Service) -> None:
        """As many as the service takes."""
        try:
            for name, result in self.pilot.send_waiting(service):
                if isinstance(result, Result):
                    self.judge(name, result)
        except ac.ServiceError:
            pass

    def judge(self, name: str, result: Result) -> None:
        """Compare one result with the truth."""
        self.answers[name] += 1
        step, photo = result.step, self.photos[int(name) % len(self.photos)]
        assert step is not None
        original = result.encoding == "original"
        encoding = REFERENCE if original else Encoding.parse(str(result.encoding))
        payload = photo.file if original else codec.encode(photo.picture, encoding)
        reference = codec.encode(photo.picture, REFERENCE)
        truth = [Upload(len(each), self.truth.label(each)) for each in (payload, reference)]
        accuracy, _ = measured(truth[0], truth[1], self.pilot.config)
        sent = [step.compressed, step.reference]
        both = all(upload is not None and upload.labels is not None for upload in sent)
        if both and accuracy is not None and result.encoding != "jpeg-q75":  # that teaches nothing
            self.accuracies.append(accuracy)
        self.found["measured"] += both
        self.found["wrong_accuracies"] += step.accuracy != (accuracy if both else None)
        self.found["one_upload_failed"] += result.fault is not None
        by_reference = step.reference is not None and step.reference.labels is not None
        right = truth[1 if by_reference else 0].labels or []
        self.found["wrong_labels"] += not _same(result.labels, right)

    def wrong_in_memory(self) -> int:
        """Accuracies in the replay memory that are not those of the measured images, in order."""
        memory = self.pilot.agent.replay
        held = memory.values[: len(memory)]
        right = np.array(self.accuracies[len(self.accuracies) - len(held) :])
        if len(right) != len(held):
            return abs(len(right) - len(held))
        return int(np.sum(np.abs(held - right) > 1e-4))


def _same(labels: Sequence[ac.Label], right: Sequence[ac.Label]) -> bool:
    """Equal, but for the three decimals of Face++'s percentages and the order of ties."""
    expected = {label.name: label.score for label in right}
    return len(labels) == len(right) and all(
        abs(expected.get(label.name, 9) - label.score) < 1e-5 for label in labels
    )


@contextmanager
def use(server: Server) -> Iterator[None]:
    """Within, the environment points all clients at a server."""
    before = dict(os.environ)
    for wire in server.formats:
        os.environ.update(wire.environment(server.url))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _go_away(server: Server, ended: threading.Event, gaps: float) -> None:
    """Three times, for a while, every request fails."""
    usual = server.error_rate
    for _ in range(3):
        if ended.wait(gaps):
            return
        server.error_rate = 1.0
        ended.wait(AWAY)
        server.error_rate = usual


def measure(uploads: int, error_rate: float, seed: int) -> dict[str, Any]:
    """The whole run."""
    started = time.monotonic()
    photos = crops(PHOTOGRAPHS, CROPS, np.random.default_rng(seed))
    truth = Truth(ac.open_service("squeezenet", 1))
    counts = [uploads // len(CLIENTS) + (n < uploads % len(CLIENTS)) for n in range(len(CLIENTS))]
    service = ac.open_service("squeezenet", 1)
    with Server(service, error_rate=error_rate, hold=HOLD, seed=seed) as server, use(server):
        streams = [
            Stream(client, count, photos, truth, seed + n)
            for n, (client, count) in enumerate(zip(CLIENTS, counts, strict=True))
        ]
        ended = threading.Event()
        gaps = uploads / 100  # seconds between, some seconds a hundred uploads
        threading.Thread(target=_go_away, args=(server, ended, gaps), daemon=True).start()
        with ThreadPoolExecutor(len(streams)) as pool:
            list(pool.map(Stream.run, streams))
        ended.set()
    found = sum((stream.found for stream in streams), Counter())
    return {
        "uploads": uploads,
        "lost": sum(
            stream.answers[str(number)] == 0 for stream in streams for number in range(stream.count)
        ),
        "duplicated": sum(times > 1 for stream in streams for times in stream.answers.values()),
        "wrong_accuracies": found["wrong_accuracies"],
        "wrong_labels": found["wrong_labels"],
        "measured": found["measured"],
        "waited": found["waited"],
        "one_upload_failed": found["one_upload_failed"],
        "requests": server.requests,
        "faults": dict(sorted(server.faults.items())),
        "seconds": round(time.monotonic() - started),
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: nothing is lost, sent twice or mislearned; 1: something is."""
    defaults = {"uploads": 5000, "error_rate": 0.2, "seed": 0}
    report = reported("bench.robustness.faults", __doc__, measure, arguments, **defaults)
    wrong = ("lost", "duplicated", "wrong_accuracies", "wrong_labels")
    return 1 if any(report[name] for name in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
