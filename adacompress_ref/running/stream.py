"""The photographs of a folder, sent one after the other, with a log; on from where it was."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..core.controller import Controller
from ..core.roles import Step, Upload, measured
from ..imaging import codec
from ..imaging import read as images
from ..imaging.encoding import REFERENCE
from ..services import AccountError, NoAnswerError, RefusedError, Service, ServiceError, ask
from ..storage.files import ImageError, printable, reason
from . import runlog
from .arrivals import stamp
from .floor import asked_again
from .live import LiveImage
from .pilot import AdaCompress
from .seen import Trouble
from .state import SAVE_EVERY, StateFolder

LOOK_EVERY = 0.2  # seconds, for a signal while there is nothing to do
UNANSWERED = 3  # tries in a row, before it is the service and not an image
PAUSE, ACCOUNT_PAUSE = 5.0, 600.0  # seconds before it is tried again, if it did not say


class Stream:
    """A pilot and a service at work on images of a folder.

    The pilot goes on from what the state folder has: images that were logged after the last save
    are learned from again, with their answers from the log. `once` says what is not sent again:
    the same `content` under any name, or under the same `name` alone; or nothing. `say` gets
    messages for people. With `check`, the reference of each image is asked for aside, neither
    counted nor learned from: `checked` has the agreements. So many references as `floor` says are
    asked again (`floor.asked_again`), which is counted and learned from. Raises AgentError or
    StateError where the state folder does not fit.

    What becomes of an upload that fails, from below: the client of the service tries it again, a
    few times within seconds, and keeps to the pace that the service asks for; while nothing is
    answered at all it asks rarely, see Transport. If a compressed upload has no answer, the
    reference is sent in its place (LiveImage). If that has none either, nothing was learned, the
    image waits and others go first (Arrivals, Seen). After three in a row it is the service that is
    away: a try every few seconds, until it answers or `wait` seconds are over, and the rest is
    left for another run. What is wrong with the account ends a run at once, unless it is endless
    (`wait` is infinite) and had answers: then somebody may see to it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        pilot: AdaCompress,
        service: Service,
        state: StateFolder,
        *,
        pixel_limit: int = images.PIXEL_LIMIT,
        wait: float = 0.0,
        once: str = "content",
        check: bool = False,
        floor: int = 0,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder, self.pilot, self.service = Path(folder), pilot, service
        self.state = state
        self.pixel_limit, self.wait, self.once, self.say = pixel_limit, wait, once, say
        self.times: deque[dict[str, Any]] = deque(maxlen=1000)  # of the latest images
        self.check, self.checked, self.floor = check, list[float](), floor
        self.repeated = 0  # images whose bytes were sent under another name
        self.gone = ""  # why images were left, if any were
        self.finished = False
        if self.state.controller:
            self._go_on(self.state.controller)
        else:
            self.state.save(self.pilot.controller)

    def _go_on(self, controller: Controller) -> None:
        """From the state as saved, and with the answers that the log has of later images."""
        if self.state.notice:
            self.say(f"adacompress: {self.state.notice}")
        self.pilot.resume(controller)
        missed = self.state.missed
        for number, line in enumerate(missed):
            if line["error"] is None and not self._learn_again(line):
                self.say(
                    f"adacompress: {printable(line['image'])} is not as it was when it was sent; "
                    f"the last {len(missed) - number} images are not learned from again"
                )
                break
        if missed:
            self.state.save(self.pilot.controller)
            missed.clear()

    def _learn_again(self, line: dict[str, Any]) -> bool:
        """Take the step of a logged image again; False where its upload would be another now."""
        controller, (compressed, reference) = self.pilot.controller, runlog.uploads(line)
        fields, name = ("sha256", "state", "encoding", "reference_bytes"), line["image"]
        try:
            photo = images.read(self.folder / name, name=name, pixel_limit=self.pixel_limit)
            sha256 = hashlib.sha256(photo.file).hexdigest()
            image = LiveImage(photo, self.pilot.view, self.pilot.extractor, self.service)
            decision = controller.decide(image.state)
            encoding, payload = image.payloads.of(decision.action)
            again = sha256, decision.mode, encoding, len(image.payloads.reference)
        except (ImageError, ServiceError):
            return False
        if again != tuple(line[field] for field in fields):
            return False
        if compressed.size not in (len(payload), 0):  # 0 where it was refused unsent
            return False
        controller.settle(decision, compressed, reference)
        self._hear_again(line)
        return True

    def send(
        self, names: Iterable[str | None], stopping: Callable[[], object]
    ) -> Iterator[dict[str, Any]]:
        """Each image's line, which is in the log already; saves as it goes, and at the end.

        Ends early where `stopping()`, and where the service is given up: `gone` then says why.
        Raises StateError, ArtifactError or ModelError, and ServiceError for a wrong service.
        """
        unanswered, since, first = 0, 0.0, self.state.seen.answers
        try:
            for name in names:
                if name is None:
                    time.sleep(LOOK_EVERY)
                if stopping():
                    break
                if name is None:
                    continue
                try:
                    line = self._send(name)
                except (NoAnswerError, AccountError) as error:
                    self.gone = str(error)
                    self.state.seen.unanswered(name, self.gone)
                    unanswered, now = unanswered + 1, time.monotonic()
                    since = now if unanswered == 1 else since
                    pause = error.retry_after or (PAUSE if unanswered >= UNANSWERED else 0.0)
                    if isinstance(error, AccountError):
                        if self.wait < float("inf") or first == self.state.seen.answers:
                            break
                        pause = ACCOUNT_PAUSE
                    elif stopping() or (unanswered >= UNANSWERED and now - since >= self.wait):
                        break
                    if unanswered <= UNANSWERED:
                        self.say(f"adacompress: {printable(name)}, left for another time: {error}")
                    pause = min(pause, since + max(self.wait, PAUSE) - now)
                    while time.monotonic() < now + pause and not stopping():
                        time.sleep(LOOK_EVERY)
                    continue
                if line is None:
                    continue
                if line["error"] is None:
                    if unanswered > UNANSWERED:
                        self.say("adacompress: the service answers again")
                    unanswered, self.gone = 0, ""
                if self.state.lines % SAVE_EVERY == 0:
                    self.state.save(self.pilot.controller)
                yield line
            else:
                self.finished = True
        except GeneratorExit:  # not others, which may cut a step in two; the log has all
            self.state.save(self.pilot.controller)
            raise
        self.state.save(self.pilot.controller)

    def _send(self, name: str) -> dict[str, Any] | None:
        """One image: its line in the log, None where it is not sent. Raises ServiceError."""
        started, seen, path = time.perf_counter(), self.state.seen, self.folder / name
        before, sha256, seconds = stamp(path), "", dict[str, float]()
        try:
            if before is None:
                raise FileNotFoundError
            file: bytes | Path = path  # where it is too large or no file, `read` says so
            if before[2] <= images.FILE_LIMIT and path.is_file():
                file = path.read_bytes()
                sha256 = hashlib.sha256(file).hexdigest()
            key = {"content": (sha256,), "name": (name, sha256)}.get(self.once)
            if sha256 and key and seen.has(*key):
                self.repeated += not seen.has(name, sha256)
                seen.add((name, *before))
                seen.settle(name)
                return None
            photo = images.read(file, name=name, pixel_limit=self.pixel_limit)
            result = self.pilot.upload(photo, self.service)
            line, seconds = runlog.answer(name, sha256, result), result.seconds
            if self.check and result.step:
                self._check(photo, result.step)
            if result.step and result.step.agreement is not None:
                self._ask_again(photo, result.step, line)
        except (ImageError, RefusedError, PermissionError) as error:
            # with what was read, not what is there now
            line = runlog.failure(name, sha256 or None, error)
        except OSError as error:
            if stamp(path):  # a disk that fails may do so for a while
                raise NoAnswerError(f"{printable(name)}: {reason(error)}") from error
            seen.settle(name, trouble=Trouble("gone"))
            return None
        seconds = seconds | {"total": time.perf_counter() - started}
        times: dict[str, Any] = {what: round(seconds[what], 6) for what in seconds}
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        still = (name, *before) if before and stamp(path) == before else ()
        self.times.append({"image": name, "at": at} | times)
        self.state.append(line, self.times[-1], *still)
        return line

    def _ask_again(self, photo: images.Photo, step: Step, line: dict[str, Any]) -> None:
        if step.reference and self.state.totals.get("asked_again", 0) < self.floor:
            with suppress(ImageError, ServiceError):
                line |= asked_again(photo, step.reference, self.service, self.pilot.config)
                line["bytes_sent"] += line["again_bytes"]
            self._hear_again(line)

    def _hear_again(self, line: dict[str, Any]) -> None:
        if line.get("again") and self.pilot.agent.hear_again:
            self.pilot.agent.hear_again(line["again"][1])

    def _check(self, photo: images.Photo, step: Step) -> None:
        """Whether the compressed upload has the reference's best label, whatever was measured."""
        agreement = step.agreement
        if agreement is None:
            payload = codec.encode(photo.picture, REFERENCE)
            with suppress(ServiceError):
                reference = Upload(len(payload), ask(self.service, payload))
                _, agreement = measured(step.compressed, reference, self.pilot.config)
        if agreement is not None:
            self.checked.append(agreement)
