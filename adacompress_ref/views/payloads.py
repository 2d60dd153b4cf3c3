"""What may be sent of a photograph, and how large it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ..imaging import codec
from ..imaging.encoding import REFERENCE, Encoding, Limits
from ..imaging.read import Photo
from ..storage.files import ImageError

EVERY, ROWS = 3, 12  # an estimate is from every third row of blocks, or some 12 of many
NEAR = 0.8  # of a service's limit, or of the reference: from there on, sizes must be exact
_REFERENCE = REFERENCE, False  # without Huffman tables of its own


class Payloads:
    """J(x, c) of one photograph for each action, made when it is needed, in any thread.

    With `own_tables`, JPEGs have Huffman tables of their own, all but the reference: a rung
    `jpeg-q75` is another payload. Where there is a `probe`, actions are compared by size before
    they are made, estimated but for low photographs; nothing above the reference is sent.
    `original` is what may be sent instead where it is smaller.
    """

    def __init__(
        self,
        photo: Photo,
        encodings: tuple[Encoding, ...],
        limits: Limits,
        exif: bytes | None = None,
        probe: Encoding | None = None,
        own_tables: bool = False,
        original: bytes | None = None,
    ) -> None:
        self.photo, self.encodings, self.limits, self.exif = photo, encodings, limits, exif
        self.probe, self.own_tables, self.original = probe, own_tables, original
        self._encoded: dict[tuple[Encoding, bool], bytes] = {}
        self._sample = self._sampled() if probe else None
        self._estimates: dict[tuple[Encoding, bool], float] = {}

    def encoded(self, encoding: Encoding, own_tables: bool = True) -> bytes:
        """J(x, c) as it is sent; or with the standard Huffman tables. Raises ImageError."""
        key = encoding, own_tables and self.own_tables
        if key not in self._encoded:
            self._encoded[key] = codec.encode(self.photo.picture, encoding, self.exif, key[1])
        return self._encoded[key]

    @property
    def reference(self) -> bytes:
        """The payload that every size is compared with. Raises ImageError."""
        return self.encoded(*_REFERENCE)

    def of(self, action: int) -> tuple[str, bytes]:
        """Name and bytes of what is sent, J(x, c), or `original` if smaller. Raises ImageError."""
        made = self._made(action)
        payload = self.encoded(*made)
        if self.probe:
            size, most = self.size(*made), self.size(*_REFERENCE)
            known = _REFERENCE in self._encoded or max(size, len(payload)) > NEAR * most
            if size > most or (known and len(payload) > len(self.reference)):
                made, payload = _REFERENCE, self.reference
        if self.original and len(self.original) < len(payload):
            return "original", self.original
        return made[0].name, payload

    def _made(self, action: int) -> tuple[Encoding, bool]:
        """What an action stands for: where there is a probe, nothing above the reference."""
        asked = self.encodings[action]
        above = asked.quality > REFERENCE.quality and asked.name.startswith("jpeg-q")
        return _REFERENCE if self.probe and above else (asked, True)

    def weighings(self, actions: list[int]) -> list[Callable[[], Any]]:
        """What `ratios` of these actions will need, as jobs for threads, the longest first."""
        made = [_REFERENCE, *(self._made(each) for each in actions[::-1])]
        needed = dict.fromkeys(self._weighed(*each) for each in made)
        return [partial(self._weigh, each) for each in needed]

    def _weigh(self, made: tuple[Encoding, bool]) -> None:
        with contextlib.suppress(ImageError):  # raised where it is asked for
            self.size(*made)

    def _weighed(self, encoding: Encoding, own_tables: bool) -> tuple[Encoding, bool]:
        """What is encoded to know a size: where it is estimated, one WebP for all qualities."""
        if self._sample and encoding.format == "webp":
            return replace(encoding, quality=60), False
        return encoding, own_tables and self.own_tables

    def size(self, encoding: Encoding, own_tables: bool = True) -> int:
        """Bytes of what `encoded` gives, or an estimate. Raises ImageError."""
        if self._sample is None:
            return len(self.encoded(encoding, own_tables))
        picture, key = self.photo.picture, self._weighed(encoding, own_tables)
        size = codec.fitting(encoding, picture.size)
        if key not in self._estimates:
            sample = self._sample
            if size != picture.size:
                small = codec.reduced(picture, 2 * min(size))  # the same to the eye, and faster
                sample = codec.resized(small, size, "bilinear")
            self._estimates[key] = codec.estimate(sample, size, *key)
        growth = codec.webp_growth(encoding.quality) if encoding.format == "webp" else 1
        return round(self._estimates[key] * growth) + len(self.exif or b"")

    def ratios(self, actions: list[int]) -> np.ndarray:
        """ds of the actions [A] (AC-2), at most 1; infinite for one that cannot be taken.

        Raises ImageError where none can.
        """
        formats = self.limits.formats
        refused = f"the agent has no encoding in a format taken here: {', '.join(formats)}"
        ratios, reference = np.full(len(self.encodings), np.inf), self.size(*_REFERENCE)
        for action in actions:
            made = self._made(action)
            try:
                size = min(self.size(*made), reference)
            except ImageError as error:  # another encoding may hold it
                refused = str(error)
                continue
            if self.original:
                size = min(size, len(self.original))
            fault = self.limits.fault(size, *made[0].dimensions(self.photo.picture.size))
            refused = fault or refused
            ratios[action] = np.inf if fault else size / reference
        if np.isinf(ratios).all():
            raise ImageError(f"{self.photo.name}: cannot be sent ({refused})")
        return ratios

    def _sampled(self) -> Image.Image | None:
        """What stands for the photograph where sizes are estimated."""
        picture, most = self.photo.picture, self.limits.max_bytes
        every = max(EVERY, picture.height // 16 // ROWS)
        low = picture.height < 16 * every
        exact = low or (most and len(self.reference) > NEAR * most)
        return None if exact else codec.sample(picture, every)
