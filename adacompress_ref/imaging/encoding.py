"""What an action means: a format, a size and a quality; and which of them a service takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

_NAME = re.compile(r"(jpeg|webp)(?:-([1-9][0-9]*))?-q([1-9][0-9]*)")


@dataclass(frozen=True)
class Encoding:
    """One action `c`: a file format, a size and a quality, named like `jpeg-q15`, `webp-224-q55`.

    `short_side` is in pixels; None keeps the size of the image. An image is never enlarged.
    """

    format: str  # jpeg or webp
    short_side: int | None
    quality: int  # 1 to 100, the encoder's own scale

    def __post_init__(self) -> None:
        if self.format not in ("jpeg", "webp"):
            raise ValueError(f"encoding format {self.format!r}: must be jpeg or webp")
        if type(self.quality) is not int or not 1 <= self.quality <= 100:
            raise ValueError(f"encoding quality {self.quality}: must be from 1 to 100")
        side = self.short_side
        if side is not None and not (type(side) is int and side > 0):
            raise ValueError(f"encoding short side {side}: must be at least 1 pixel")

    @property
    def name(self) -> str:
        """As in tables and on the command line; the inverse of `parse`."""
        size = "" if self.short_side is None else f"-{self.short_side}"
        return f"{self.format}{size}-q{self.quality}"

    @classmethod
    def parse(cls, name: str) -> Encoding:
        """The encoding called `name`. Raises ValueError if there is none of that name."""
        match = _NAME.fullmatch(name.strip())
        if not match:
            example = "jpeg-q15 or webp-224-q55, with a quality from 1 to 100"
            raise ValueError(f"encoding {name!r}: expected a name like {example}")
        form, side, quality = match.groups()
        return cls(form, int(side) if side else None, int(quality))

    def dimensions(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of an image of `size` under this encoding."""
        if self.short_side is None or self.short_side >= min(size):
            return size
        scale = self.short_side / min(size)
        return round(size[0] * scale), round(size[1] * scale)


REFERENCE = Encoding("jpeg", None, 75)  # the convention that every size is compared with
TEN_LEVELS = tuple(Encoding("jpeg", None, quality) for quality in range(5, 100, 10))  # the paper's


def parse_all(names: Iterable[str]) -> tuple[Encoding, ...]:
    """The encodings of a config. Raises ValueError naming its field."""
    try:
        return tuple(Encoding.parse(name) for name in names)
    except ValueError as error:
        raise ValueError(f"config field 'encodings': {error}") from error


class Limits(NamedTuple):
    """What a service takes, as it says; None for what it does not say."""

    name: str = "the service"  # in messages
    formats: tuple[str, ...] = ("jpeg",)
    max_bytes: int | None = None
    max_pixels: int | None = None  # width times height
    max_side: int | None = None  # pixels
    min_side: int | None = None

    def fault(self, size: int, width: int, height: int) -> str | None:
        """Why a payload of so many bytes and pixels is not taken; None where it is."""
        if size > (self.max_bytes or math.inf):
            return f"{self.name} takes {self.max_bytes:,} bytes, this image has {size:,}"
        if width * height > (self.max_pixels or math.inf):
            taken = f"{self.max_pixels:,} pixels"
        elif max(width, height) > (self.max_side or math.inf):
            taken = f"sides up to {self.max_side}"
        elif min(width, height) < (self.min_side or 0):
            taken = f"sides from {self.min_side}"
        else:
            return None
        return f"{self.name} takes {taken}, this image has {width} x {height}"
