"""What may be sent of a photograph, and how large it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ..imaging import codec
from ..imaging.encoding import REFERENCE, Encoding, Limits
from ..imaging.read import Photo
from ..storage.files import ImageError

EVERY, LARGE, LARGE_EVERY = 3, 2**20, 8  # rows of blocks that an estimate is from; pixels
NEAR = 0.8  # of a service's limit: from there on, nothing is estimated


class Payloads:
    """J(x, c) of one photograph for each action, made when it is needed.

    Where there is a `probe`, an encoding that is made in any case, actions are compared by size
    before they are made, by estimates where all are whole JPEGs, and nothing above the reference
    is sent. May be used from several threads.
    """

    def __init__(
        self,
        photo: Photo,
        encodings: tuple[Encoding, ...],
        limits: Limits,
        exif: bytes | None = None,
        probe: Encoding | None = None,
    ) -> None:
        self.photo, self.encodings, self.limits, self.exif = photo, encodings, limits, exif
        self.probe = probe
        self._encoded: dict[Encoding, bytes] = {}
        self._sample = self._sampled() if probe else None
        self._estimates: dict[Encoding, int] = {}

    def encoded(self, encoding: Encoding) -> bytes:
        """J(x, c). Raises ImageError."""
        if encoding not in self._encoded:
            self._encoded[encoding] = codec.encode(self.photo.picture, encoding, self.exif)
        return self._encoded[encoding]

    @property
    def reference(self) -> bytes:
        """The payload that every size is compared with. Raises ImageError."""
        return self.encoded(REFERENCE)

    def of(self, action: int) -> tuple[str, bytes]:
        """The name of what is sent and its bytes: J(x, c), or `original` where that is smaller.

        Raises ImageError.
        """
        encoding = self.encoding(action)
        payload = self.encoded(encoding)
        if self.probe and self.size(encoding) > self.size(REFERENCE):
            encoding, payload = REFERENCE, self.reference
        if self.photo.is_enough(len(payload), self.limits.formats):
            return "original", self.photo.file
        return encoding.name, payload

    def encoding(self, action: int) -> Encoding:
        """What an action stands for: where there is a probe, nothing above the reference."""
        asked = self.encodings[action]
        above = self.probe and asked.quality > REFERENCE.quality
        return REFERENCE if above and asked.name.startswith("jpeg-q") else asked

    # Sizes ------------------------------------------------------------------------------------

    def weighings(self, actions: list[int]) -> list[Callable[[], Any]]:
        """What `ratios` of these actions will need, as jobs for threads, the longest first."""
        needed = dict.fromkeys([REFERENCE, *(self.encoding(each) for each in actions[::-1])])
        return [partial(self._weigh, each) for each in needed if each != self.probe]

    def _weigh(self, encoding: Encoding) -> None:
        with contextlib.suppress(ImageError):  # raised where it is asked for
            self.size(encoding)

    def size(self, encoding: Encoding) -> int:
        """Bytes of J(x, c), or an estimate. Raises ImageError."""
        if self._sample is None or encoding == self.probe:
            return len(self.encoded(encoding))
        if encoding not in self._estimates:
            bare = codec.estimate(self.photo.picture, self._sample, encoding)
            self._estimates[encoding] = bare + len(self.exif or b"")
        return self._estimates[encoding]

    def ratios(self, actions: list[int]) -> np.ndarray:
        """ds of the actions [A] (AC-2), at most 1; infinite for one that cannot be taken.

        Raises ImageError where none can.
        """
        ratios = np.full(len(self.encodings), np.inf)
        reference = self.size(REFERENCE)
        refused = (
            f"the agent has no encoding in a format taken here: {', '.join(self.limits.formats)}"
        )
        for action in actions:
            encoding = self.encoding(action)
            try:
                size = min(self.size(encoding), reference)
                if self.photo.is_enough(size, self.limits.formats):
                    size = len(self.photo.file)
                dimensions = encoding.dimensions(self.photo.picture.size)
                fault = self.limits.fault(size, *dimensions)
            except ImageError as error:  # another encoding may hold it
                fault = str(error)
            if fault:
                refused = fault
            else:
                ratios[action] = size / reference
        if np.isinf(ratios).all():
            raise ImageError(f"{self.photo.name}: cannot be sent ({refused})")
        return ratios

    def _sampled(self) -> Image.Image | None:
        """What stands for the photograph where sizes are estimated."""
        picture = self.photo.picture
        every = LARGE_EVERY if picture.width * picture.height > LARGE else EVERY
        of_jpeg = all(each.name.startswith("jpeg-q") for each in self.encodings)
        if not of_jpeg or picture.height < 16 * every:
            return None
        most = self.limits.max_bytes
        if most and len(self.reference) > NEAR * most:
            return None
        return codec.sample(picture, every)
