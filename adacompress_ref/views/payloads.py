"""What may be sent of a photograph, and how large it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ..core.config import REFERENCE, Config, Encoding
from ..imaging import codec
from ..imaging.read import Photo
from ..services import RefusedError, Service, check_size
from ..storage.files import ImageError
from .drift import PROBE

LARGE, LARGE_EVERY = 2**20, 8  # pixels from which on sizes are estimated; from which rows
NEAR = 0.8  # of a service's limit: from there on, they are not


class Payloads:
    """J(x, c) of one photograph for each action, made when it is needed.

    Actions are compared by size before they are made: for a large photograph by estimates. May be
    used from several threads.
    """

    def __init__(
        self,
        photo: Photo,
        config: Config,
        formats: Collection[str],
        service: Service | None = None,
        exif: bytes | None = None,
    ) -> None:
        self.photo, self.config, self.formats = photo, config, formats
        self.service, self.exif = service, exif
        self._encoded: dict[Encoding, bytes] = {}
        self._sample = self._sampled() if config.state == "drift" else None
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
        if self.config.state == "drift" and self.size(encoding) > self.size(REFERENCE):
            encoding, payload = REFERENCE, self.reference
        if self.photo.is_enough(len(payload), self.formats):
            return "original", self.photo.file
        return encoding.name, payload

    def encoding(self, action: int) -> Encoding:
        """What an action stands for: with the state `drift`, nothing above the reference."""
        asked = self.config.encodings[action]
        above = asked.quality > REFERENCE.quality and self.config.state == "drift"
        return REFERENCE if above and asked.name.startswith("jpeg-q") else asked

    # Sizes ------------------------------------------------------------------------------------

    def weighings(self, actions: list[int]) -> list[Callable[[], Any]]:
        """What `ratios` of these actions will need, as jobs for threads, the longest first."""
        needed = dict.fromkeys([REFERENCE, *(self.encoding(each) for each in actions[::-1])])
        return [partial(self._weigh, each) for each in needed if each != PROBE]

    def _weigh(self, encoding: Encoding) -> None:
        with contextlib.suppress(ImageError):  # raised where it is asked for
            self.size(encoding)

    def size(self, encoding: Encoding) -> int:
        """Bytes of J(x, c), or an estimate. Raises ImageError."""
        if self._sample is None or encoding == PROBE:  # which is made anyway
            return len(self.encoded(encoding))
        if encoding not in self._estimates:
            bare = codec.estimate(self.photo.picture, self._sample, encoding)
            self._estimates[encoding] = bare + len(self.exif or b"")
        return self._estimates[encoding]

    def ratios(self, actions: list[int]) -> np.ndarray:
        """ds of the actions [A] (AC-2), at most 1; infinite for one that cannot be taken.

        Raises ImageError where none can.
        """
        ratios = np.full(len(self.config.encodings), np.inf)
        reference = self.size(REFERENCE)
        refused = f"the agent has no encoding in a format taken here: {', '.join(self.formats)}"
        for action in actions:
            encoding = self.encoding(action)
            try:
                size = min(self.size(encoding), reference)
                if self.photo.is_enough(size, self.formats):
                    size = len(self.photo.file)
                dimensions = codec.dimensions(self.photo.picture.size, encoding)
                check_size(self.service, size, *dimensions)
            except (ImageError, RefusedError) as error:  # another encoding may hold it
                refused = str(error)
                continue
            ratios[action] = size / reference
        if np.isinf(ratios).all():
            raise ImageError(f"{self.photo.name}: cannot be sent ({refused})")
        return ratios

    def _sampled(self) -> Image.Image | None:
        """What stands for the photograph where sizes are estimated."""
        picture = self.photo.picture
        every = LARGE_EVERY if picture.width * picture.height > LARGE else self.config.size_sample
        most = getattr(self.service, "max_bytes", None)
        of_jpeg = all(each.name.startswith("jpeg-q") for each in self.config.encodings)
        if every == 1 or not of_jpeg or picture.height < 16 * every:
            return None
        if most and len(self.reference) > NEAR * most:
            return None
        return codec.sample(picture, every)
