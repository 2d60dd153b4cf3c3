"""TIFF: which picture of a file is the photograph, and whether it is known to be read right."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

# Tags of a directory that say something of the photograph, not of where its pixels are.
DESCRIPTIVE = (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 316, 33432, 34665, 34853)
_RAW = (32803, 34892)  # what a sensor saw, as tag 262 says


def photograph(data: bytes) -> Image.Image:
    """The picture of a TIFF, opened: the first that is no preview, with what the file says of it.

    Raises ValueError for a raw photograph and for samples that Pillow does not read right, and for
    a damaged file whatever Pillow does.
    """
    size = 8 if data[2:3] == b"+" else 4  # of an offset: BigTIFF or not
    pictures = _directories(data, 2 * size)
    place, first = next(pictures)
    chosen = first
    if first.get(254, 0) & 1:  # reduced; 4: a mask
        full = (each for each in pictures if not each[1].get(254, 0) & 5)
        place, chosen = next(full, (place, first))
    if chosen.get(262) in _RAW or data[8:10] == b"CR":
        raise ValueError("a raw photograph: develop it first")
    if chosen is not first:  # it becomes the first
        order: Any = "little" if data[:1] == b"I" else "big"
        data = data[:size] + place.to_bytes(size, order) + data[2 * size :]
    image = Image.open(io.BytesIO(data), formats=("TIFF",))
    if chosen is not first:
        image.getexif().update({tag: first[tag] for tag in DESCRIPTIVE if tag in first})
    _check(image)
    return image


def _directories(data: bytes, header: int) -> Iterator[tuple[int, Any]]:
    """Where each directory of pixels is, and its tags: those within one come before the next."""
    waiting, seen = [ImageFileDirectory_v2(data[:header]).next], {0}
    while waiting and len(seen) < 100:
        place = waiting.pop()
        if place not in seen:
            seen.add(place)
            directory, stream = ImageFileDirectory_v2(data[:header]), io.BytesIO(data)
            stream.seek(place)
            directory.load(stream)
            yield place, directory
            waiting += [directory.next, *np.ravel(directory.get(330, ())).tolist()[::-1]]


def _check(image: Any) -> None:
    """Raises ValueError where Pillow is not known to read the samples right; mends what it can."""
    tags, mode = image.tag_v2, image.mode
    bits, raw = tags.get(258, (1,)), image.info["compression"] == "raw"
    if max(bits) > 16 or set(tags.get(339, (1,))) != {1}:
        raise ValueError("samples that are signed, or of more than 16 bits, have no agreed range")
    unnamed = len(bits) == 4 and tags.get(262) == 2 and 338 not in tags  # is it alpha?
    planar = tags.get(284, 1) == 2 and len(bits) > 1
    odd = mode == "La" or (planar and (unnamed or mode not in ("RGB", "RGBA", "CMYK")))
    if odd or (raw and tags.get(262) == 6):
        raise ValueError("this layout of samples is not read")
    if planar and raw and bits[0] == 16:  # Pillow takes them for 8
        ending = ";16L" if tags.prefix == b"II" else ";16B"
        made = getattr(type(image.tile[0]), "_make", tuple)
        image.tile = [made((*t[:3], (t[3][0] + ending, *t[3][1:]))) for t in image.tile]
