"""A photograph as the controller and the environment see it: a state, and uploads."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import cached_property

import numpy as np

from . import drift, images
from .config import REFERENCE, Config
from .controller import Label, Upload
from .extractor import Extractor
from .files import ImageError
from .images import Photo
from .services import (
    ProtocolError,
    RefusedError,
    Service,
    ServiceError,
    UnavailableError,
    ask_all,
    check_limits,
    formats,
)


class LiveImage:
    """A photograph, as the controller and the environment see it: a state, and uploads.

    Without a `service` it can be encoded but not uploaded; `taken` are then the formats that may
    be sent, by default JPEG.
    """

    def __init__(
        self,
        photo: Photo,
        config: Config,
        extractor: Extractor,
        service: Service | None = None,
        exif: bytes | None = None,
        taken: Collection[str] | None = None,
    ) -> None:
        self.photo = photo
        self.config = config
        self.extractor = extractor
        self.service = service
        self.exif = exif
        self.formats = formats(service) if taken is None else taken
        self.fault: str | None = None  # why one of two uploads had no answer
        self._payloads: dict[int, tuple[str, bytes]] = {}
        self.seconds: dict[str, float] = {}  # of decision, encode, upload
        self._since = time.perf_counter()

    @cached_property
    def state(self) -> np.ndarray:
        """s = E(x) [1280], or a row for each action [A, inputs] (drift.py)."""
        if self.config.state == "features":
            return self.extractor.state(self.photo.pixels, self.config)
        ratios = np.full(len(self.config.encodings), np.inf)
        drifts = np.zeros((len(ratios), drift.DRIFT), np.float32)
        seen: dict[int, np.ndarray] = {}  # pixels of each action
        refused = f"the agent has no encoding in a format taken here: {', '.join(self.formats)}"
        for action in np.flatnonzero(drift.open_actions(self.config, self.formats)).tolist():
            try:
                name, payload = self.payload(action)
                if self.service is not None:
                    check_limits(self.service, payload)
            except (ImageError, RefusedError) as error:  # another encoding may hold it
                refused = str(error)
                continue
            ratios[action] = len(payload) / len(self.reference)
            if self.config.own_drift:
                original = name == "original"
                seen[action] = self.photo.pixels if original else images.decode(payload)
        if np.isinf(ratios).all():
            raise ImageError(f"{self.photo.name}: cannot be sent ({refused})")
        pixels = self.photo.pixels
        plain = images.encode(pixels, REFERENCE) if self.exif else self.reference
        context, found = drift.measured(self.extractor, pixels, plain, list(seen.values()))
        drifts[list(seen)] = found
        return drift.rows(context, drifts, ratios, self.config)

    @cached_property
    def reference(self) -> bytes:
        """The payload that every size is compared with."""
        return images.encode(self.photo.pixels, REFERENCE, self.exif)

    def payload(self, action: int) -> tuple[str, bytes]:
        """The name of what is sent and its bytes: J(x, c), or `original` where that is smaller."""
        if action not in self._payloads:
            encoding = self.config.encodings[action]
            name, payload = encoding.name, images.encode(self.photo.pixels, encoding, self.exif)
            if self.config.state == "drift" and len(payload) > len(self.reference):
                name, payload = REFERENCE.name, self.reference
            if images.original_is_enough(self.photo, payload, self.formats):
                name, payload = "original", self.photo.file
            self._payloads[action] = name, payload
        return self._payloads[action]

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """Send the payload of an action, and the reference where asked, or where the service does
        not answer to the first; `fault` then says why. Raises ServiceError where neither of them
        has an answer.
        """
        if self.service is None:
            raise TypeError("this image was opened without a service")
        self.lap("decision")
        payloads = [self.payload(action)[1], self.reference][: 1 + reference]
        self.lap("encode")
        answers = ask_all(self.service, payloads)
        failed = isinstance(answers[0], (RefusedError, UnavailableError, ProtocolError))
        if failed and not reference and payloads[0] != self.reference:
            payloads.append(self.reference)
            answers += ask_all(self.service, [self.reference])
        self.lap("upload")
        errors = [answer for answer in answers if isinstance(answer, ServiceError)]
        if len(errors) == len(answers):
            raise next((error for error in errors if error.retryable), errors[0])
        self.fault = "; ".join(map(str, errors)) or None
        uploads = [_upload(*each) for each in zip(payloads, answers, strict=True)]
        return uploads[0], uploads[1] if len(uploads) == 2 else None

    def lap(self, what: str) -> None:
        """The time since the last call, or since the image was opened, went into this."""
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now


def _upload(payload: bytes, answer: list[Label] | ServiceError) -> Upload:
    if isinstance(answer, ServiceError):
        return Upload(len(payload) if answer.sent else 0, None)
    return Upload(len(payload), answer)
