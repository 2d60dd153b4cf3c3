"""A photograph as the controller and the environment see it: a state, and uploads."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import BinaryIO

import numpy as np

from ..core.roles import Label, Step, Upload
from ..imaging import read as images
from ..imaging.encoding import Limits
from ..imaging.extractor import Extractor
from ..imaging.read import Photo
from ..services import NoAnswerError, RefusedError, Service, ServiceError, ask_all, limits
from ..views import View
from ..views.payloads import Payloads
from .metadata import original
from .results import Result

Source = str | os.PathLike[str] | bytes | BinaryIO


class LiveImage:
    """A photograph, as the controller and the environment see it: a state, and uploads.

    Without a `service` it can be encoded but not uploaded; `formats` are then those that may be
    sent, by default JPEG.
    """

    def __init__(
        self,
        photo: Photo,
        view: View,
        extractor: Extractor,
        service: Service | None = None,
        exif: bytes | None = None,
        formats: Collection[str] | None = None,
    ) -> None:
        self.photo, self.view, self.extractor, self.service = photo, view, extractor, service
        accepted = limits(service) if service else Limits()
        if formats is not None:
            accepted = accepted._replace(formats=tuple(formats))
        # an original has no EXIF
        own = None if exif or photo.plain_format not in accepted.formats else original(photo)
        self.payloads = Payloads(
            photo, view.encodings, accepted, exif, view.probe, view.own_tables, own
        )
        self._state: np.ndarray | None = None
        self.fault: str | None = None  # why one of two uploads had no answer
        self.seconds: dict[str, float] = {}  # of decision, encode, upload
        self._since = time.perf_counter()

    @property
    def state(self) -> np.ndarray:
        """s, as the view has it; computed once."""
        if self._state is None:  # not cached_property, which lets one thread at a time in
            self._state = self.view.of_photo(self.photo, self.payloads, self.extractor)
        return self._state

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """Send the payload of an action, and the reference where asked, or where the service does
        not answer to the first; `fault` then says why. Raises ServiceError where neither of them
        has an answer.
        """
        if self.service is None:
            raise TypeError("this image was opened without a service")
        self.lap("decision")
        payloads = [self.payloads.of(action)[1]]
        if reference:
            payloads.append(self.payloads.reference)
        self.lap("encode")
        answers = ask_all(self.service, payloads)
        failed = isinstance(answers[0], (NoAnswerError, RefusedError))
        if failed and not reference and payloads[0] != self.payloads.reference:
            payloads.append(self.payloads.reference)
            answers += ask_all(self.service, payloads[1:])
        self.lap("upload")
        errors = [answer for answer in answers if isinstance(answer, ServiceError)]
        if len(errors) == len(answers):
            raise next((error for error in errors if error.retryable), errors[0])
        self.fault = "; ".join(map(str, errors)) or None
        uploads = [upload_of(*each) for each in zip(payloads, answers, strict=True)]
        return uploads[0], uploads[1] if len(uploads) == 2 else None

    def result(self, step: Step) -> Result:
        """What became of it in this step."""
        return Result(
            labels=step.labels,
            state=step.state,
            bytes_sent=step.bytes_sent,
            encoding=self.payloads.of(step.action)[0],
            reference_bytes=len(self.payloads.reference),
            original_bytes=len(self.photo.file),
            step=step,
            fault=self.fault,
            seconds=self.seconds,
        )

    def lap(self, what: str) -> None:
        """The time since the last call, or since the image was opened, went into this."""
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now


def upload_of(payload: bytes, answer: list[Label] | ServiceError) -> Upload:
    """An upload of which `ask_all` says what became."""
    if isinstance(answer, ServiceError):
        return Upload(len(payload) if answer.sent else 0, None)
    return Upload(len(payload), answer)


def open_extractor(
    view: View, path: str | os.PathLike[str] | None = None, threads: int | None = None
) -> Extractor:
    """E for a view: its runs share the threads, or have one each where a state takes several.

    Raises ValueError for less than one thread, ArtifactError or ModelError.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads={threads}: must be at least 1, or None for one a core")
    return Extractor(path, threads, at_once=view.probe is not None)


def photo_of(source: Source | Photo, pixel_limit: int, name: str | None = None) -> Photo:
    """What was read before, or is read now. Raises ImageError."""
    if isinstance(source, Photo):
        return source
    return images.read(source, name=name, pixel_limit=pixel_limit)
