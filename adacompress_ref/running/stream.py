"""The photographs of a folder, sent one after the other, with a log; on from where it was."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.controller import Controller
from ..imaging import read as images
from ..imaging.read import Photo
from ..services import AccountError, NoAnswerError, RefusedError, Service, ServiceError
from ..storage.files import ImageError, printable
from . import runlog
from .folder import digest
from .live import LiveImage
from .pilot import AdaCompress
from .results import Result
from .state import SAVE_EVERY, StateFolder

LOOK_EVERY = 0.2  # seconds, for a signal while the service is away
UNANSWERED = 3  # images in a row, before it is the service and not they


class Stream:
    """A pilot and a service at work on the folder `images`.

    With a state folder, that pilot goes on from what is kept there: images that were logged after
    the last save are learned from again, with their answers from the log. `wait` is in seconds, for
    an image that the service does not answer; `say` gets messages for people. Raises AgentError or
    StateError where the state folder does not fit.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        pilot: AdaCompress,
        service: Service,
        state: StateFolder | None = None,
        *,
        pixel_limit: int = images.PIXEL_LIMIT,
        wait: float = 0.0,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder, self.pilot, self.service, self.state = Path(folder), pilot, service, state
        self.pixel_limit, self.wait, self.say = pixel_limit, wait, say
        self.lines: list[dict[str, Any]] = state.lines if state else []
        self.times: list[dict[str, Any]] = state.times if state else []
        self.gone = ""  # why images were left, if any were
        self.finished = False
        if state and state.controller:
            self._go_on(state, state.controller)
        else:
            self.save()

    def _go_on(self, state: StateFolder, controller: Controller) -> None:
        """From the state as saved, and with the answers that the log has of later images."""
        if state.notice:
            self.say(f"adacompress: {state.notice}")
        self.pilot.resume(controller)
        missed = state.lines[state.known :]
        for number, line in enumerate(missed):
            if line["error"] is None and not self._learn_again(line):
                self.say(
                    f"adacompress: {printable(line['image'])} is not as it was when it was sent; "
                    f"the last {len(missed) - number} images are not learned from again"
                )
                break
        if missed:
            self.save()

    def _learn_again(self, line: dict[str, Any]) -> bool:
        """Take the step of a logged image again; False where its upload would be another now."""
        controller, (compressed, reference) = self.pilot.controller, runlog.uploads(line)
        fields = ("sha256", "state", "encoding", "reference_bytes")
        try:
            photo, sha256 = self._read(line["image"])
            image = LiveImage(photo, self.pilot.view, self.pilot.extractor, self.service)
            decision = controller.decide(image.state)
            name, payload = image.payloads.of(decision.action)
            again = sha256, decision.mode, name, len(image.payloads.reference)
        except (ImageError, ServiceError):
            return False
        if again != tuple(line[field] for field in fields):
            return False
        if compressed.size not in (len(payload), 0):  # 0 where it was refused unsent
            return False
        controller.settle(decision, compressed, reference)
        return True

    def left(self, names: list[str]) -> list[str]:
        """Images that no line of the log has, by name and content."""
        known = {line["image"] for line in self.lines}
        done = {(line["image"], line["sha256"]) for line in self.lines}
        return [n for n in names if n not in known or (n, digest(self.folder / n)) not in done]

    def send(
        self, names: Iterable[str], stopping: Callable[[], object]
    ) -> Iterator[dict[str, Any]]:
        """Each image's line, which is in the log already; saves as it goes, and at the end.

        Ends early where `stopping()`, and where the service is given up: `gone` then says why.
        Raises StateError, ArtifactError or ModelError, and ServiceError for a wrong service.
        """
        unanswered = 0
        try:
            for name in names:
                if stopping():
                    break
                try:
                    line, times = self._send(name, stopping)
                except NoAnswerError as error:
                    unanswered += 1
                    self.gone = str(error)
                    if stopping() or unanswered == UNANSWERED:
                        break
                    self.say(f"adacompress: {printable(name)}, left for another time: {error}")
                    continue
                except AccountError as error:
                    self.gone = str(error)
                    break
                unanswered = 0
                if self.state:
                    self.state.append(line, times)
                else:
                    self.lines.append(line)
                    self.times.append(times)
                if len(self.lines) % SAVE_EVERY == 0:
                    self.save()
                yield line
            else:
                self.finished = True
        except GeneratorExit:  # not others, which may cut a step in two; the log has all
            self.save()
            raise
        self.save()

    def save(self) -> None:
        """The state, if it is kept."""
        if self.state:
            self.state.save(self.pilot.controller)

    def _read(self, name: str) -> tuple[Photo, str]:
        photo = images.read(self.folder / name, name=name, pixel_limit=self.pixel_limit)
        return photo, hashlib.sha256(photo.file).hexdigest()

    def _send(
        self, name: str, stopping: Callable[[], object]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """One image: its line in the log and its line of times. Raises ServiceError."""
        started = time.perf_counter()
        sha256, seconds = None, {}
        try:
            photo, sha256 = self._read(name)
            result = self._upload(photo, stopping)
            line, seconds = runlog.answer(name, sha256, result), result.seconds
        except (ImageError, RefusedError) as error:
            line = runlog.failure(name, sha256 or digest(self.folder / name), error)
        seconds = seconds | {"total": time.perf_counter() - started}
        return line, {"image": name} | {what: round(seconds[what], 6) for what in seconds}

    def _upload(self, photo: Photo, stopping: Callable[[], object]) -> Result:
        """Upload, and wait for a service that is away."""
        given_up = None
        while True:
            try:
                return self.pilot.upload(photo, self.service)
            except ServiceError as error:
                now = time.monotonic()
                given_up = given_up or now + self.wait
                pause = min(max(1.0, error.retry_after or 5.0), given_up - now)
                if not error.retryable or pause <= 0 or stopping():
                    raise
                self.say(f"adacompress: {photo.name} waits {max(1, pause):.0f} s: {error}")
                while time.monotonic() < now + pause and not stopping():
                    time.sleep(LOOK_EVERY)
                if stopping():
                    raise
