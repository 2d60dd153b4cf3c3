"""Images that come from many at once, with a log; on from where it was, without the images."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import replace
from operator import index
from threading import BoundedSemaphore, Lock
from typing import Any

import numpy as np
from PIL import Image

from ..core.roles import Decision
from ..imaging import read as images
from ..imaging.parallel import cores
from ..services import Service
from . import runlog
from .live import LiveImage
from .pilot import AdaCompress
from .results import Result
from .state import OTHER_FOLDER, SAVE_EVERY, StateError, StateFolder


def check(line: dict[str, Any]) -> None:
    """Raises ValueError where this is no line of `Traffic`: of `runlog`, and its decision."""
    runlog.check(line)
    _decision(line)


def _decision(line: dict[str, Any]) -> Decision:
    """What was decided for a logged image. Raises ValueError."""
    try:
        raw = base64.b64decode(line["vector"], validate=True)
        state, action = np.frombuffer(raw, "<f4").reshape(line["shape"]), index(line["action"])
        return Decision(line["state"], state, action, line["epsilon"], line["alpha"], -1, {})
    except (KeyError, TypeError) as error:
        raise ValueError("has no decision") from error


class Traffic:
    """A pilot at work on images from any number of threads.

    Decisions and uploads run side by side; what became of them is learned from and logged in turns,
    in the order of completion. No image is kept: a line has the decision and s beside what `run`
    logs, so that lines after the last save are learned from again. An image is called by the first
    16 digits of its SHA-256 and the line's number. `state` is a folder opened with `check`; its log
    has those images that were answered. `fault` is why nothing can be logged any more.

    Raises AgentError or StateError where the state folder does not fit.
    """

    def __init__(
        self, pilot: AdaCompress, state: StateFolder, pixel_limit: int = images.PIXEL_LIMIT
    ) -> None:
        self.pilot, self.state, self.pixel_limit = pilot, state, pixel_limit
        self.fault: StateError | None = None
        self._turn, self._deciding = Lock(), BoundedSemaphore(cores())
        if state.controller:
            pilot.resume(state.controller)
            for line in state.missed:
                self._learn_again(line)
        state.save(pilot.controller)

    def _learn_again(self, line: dict[str, Any]) -> None:
        """Settle a logged image as it was; as its turn is over, chance moves on by itself."""
        try:
            self.pilot.controller.settle(_decision(line), *runlog.uploads(line))
        except (ValueError, IndexError) as error:
            fault = f"line {line['number']} is of another agent; {OTHER_FOLDER}"
            raise StateError(f"{self.state.log_path}: {fault}") from error

    def upload(self, file: bytes, service: Service) -> tuple[Result, bytes]:
        """Send one image; what became of it, and the payload whose labels they are.

        Raises ImageError where it cannot be read or encoded, any ServiceError where it has no
        answer, and StateError once nothing can be logged; then nothing has been recorded.
        """
        started = time.perf_counter()
        with self._deciding:  # as each holds a photograph
            photo = images.read(file, name="the image", pixel_limit=self.pixel_limit)
            image = LiveImage(photo, self.pilot.view, self.pilot.extractor, service)
            _ = image.payloads.reference, image.state
            image.lap("encode")
            with self._turn:
                if self.fault:
                    raise self.fault
                decision = self.pilot.controller.decide(image.state)
            payload = image.payloads.of(decision.action)[1]
            # what waits for an answer holds no pixels but the sample's
            image.photo = image.payloads.photo = replace(photo, picture=Image.new("RGB", (1, 1)))
            del photo
        compressed, reference = image.upload(decision.action, decision.mode != "inference")
        if reference is not None and reference.labels is not None:
            payload = image.payloads.reference
        with self._turn:
            if self.fault:
                raise self.fault
            step = self.pilot.controller.settle(decision, compressed, reference)
            result = image.result(step)
            sha256 = hashlib.sha256(file).hexdigest()
            line = runlog.answer(f"{sha256[:16]}-{self.state.lines + 1}", sha256, result)
            state = np.ascontiguousarray(decision.state, "<f4")
            line |= {"action": decision.action, "shape": state.shape}
            line["vector"] = base64.b64encode(state.tobytes()).decode()
            seconds = result.seconds | {"total": time.perf_counter() - started}
            times = {name: round(value, 6) for name, value in seconds.items()}
            try:
                self.state.append(line, {"image": line["image"]} | times)
                if self.state.lines % SAVE_EVERY == 0:
                    self.state.save(self.pilot.controller)
            except StateError as error:  # this image is paid for: its answer counts
                self.fault = error
        return result, payload

    def close(self) -> None:
        """Save; what is answered from now on is neither logged nor learned from."""
        with self._turn:
            if not self.fault:
                self.fault = StateError("closed")
                self.state.save(self.pilot.controller)
