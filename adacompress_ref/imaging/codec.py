"""J(x, c): the bytes of image x under encoding c; and back, and pictures at other sizes."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..storage.files import ImageError, reason
from .encoding import Encoding
from .read import quiet

_LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}  # pixels; the encoders' own limits
WIDEST = 1024  # pixels of a row in a sample
GROWTH = {1: 0.24, 20: 0.525, 40: 0.77, 60: 1, 70: 1.13, 80: 1.46, 90: 2.34, 100: 4.4}  # by quality
QUICK, QUICK_SAMPLED = 0.95, 0.89  # WebP by method 4 over method 2, of a picture; over rows of it


def encode(
    picture: Image.Image,
    encoding: Encoding,
    exif: bytes | None = None,
    own_tables: bool = False,
    method: int = 4,
) -> bytes:
    """J(x, c): the file that is uploaded, of a picture in mode RGB. Thread-safe.

    An image is made smaller, by bilinear interpolation, but never larger. JPEG is baseline, 4:2:0,
    with the standard Huffman tables, as the published system has it; with `own_tables`, or where a
    short side is named, with those of this image: the same pixels in fewer bytes. WebP is lossy;
    `method` is its own, from 0, quick, to 6. No metadata but `exif`. Raises ImageError where the
    format, or the memory, cannot hold the image.
    """
    size = fitting(encoding, picture.size)
    options: dict[str, Any] = {"method": method}  # 6: 6% fewer bytes, 1% to 4% fewer labels kept
    if encoding.format == "jpeg":
        own_tables = own_tables or encoding.short_side is not None
        options = {"subsampling": "4:2:0", "optimize": own_tables, "progressive": False}
    try:
        if size != picture.size:
            picture = resized(picture, size, "bilinear")
        # Pillow keeps an encoder's options in the image: a copy for each thread, which is shallow,
        # as a deep one takes longer than to encode it.
        own = picture._new(picture.im)
        with _buffer(encoding) as stream:
            own.save(stream, encoding.format, quality=encoding.quality, exif=exif or b"", **options)
            stream.seek(0)
            payload = stream.read()
        if encoding.format == "jpeg" and not payload.endswith(b"\xff\xd9"):
            raise OSError("written in part")  # Pillow looks for errors alone
        return payload
    except Exception as error:  # as in `images.read`
        raise ImageError(
            f"{encoding.name}: cannot be encoded ({reason(error)}); make it smaller first"
        ) from error


def fitting(encoding: Encoding, size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a picture of this size as it is encoded. Raises ImageError if too long."""
    width, height = encoding.dimensions(size)
    limit = _LONGEST_SIDE[encoding.format]
    if max(width, height) > limit:
        raise ImageError(
            f"{encoding.name}: {width} x {height} pixels, {limit} is the longest side that fits; "
            "name a smaller size"
        )
    return width, height


def _buffer(encoding: Encoding) -> BinaryIO:
    """A file in memory. For one that the system knows, Pillow leaves Python's lock."""
    if encoding.format == "jpeg":
        with contextlib.suppress(AttributeError, OSError):  # Linux alone; no descriptor is left
            return open(os.memfd_create("image"), "w+b", buffering=0)
    return io.BytesIO()


def decode(payload: bytes, least: int = 0) -> Image.Image:
    """The picture in a payload, mode RGB; with `least`, as `reduced`, which is faster.

    Raises ImageError.
    """
    try:
        with quiet():
            image = Image.open(io.BytesIO(payload), formats=("JPEG", "WEBP", "PNG"))
        whole = image.size
        if least:
            times = factor(image.size, least)
            image.draft("RGB", (image.width // times, image.height // times))  # JPEG alone
        image.load()
        picture: Image.Image = image if image.mode == "RGB" else image.convert("RGB")
        return reduced(picture, least) if least and picture.size == whole else picture
    except Exception as error:  # as in `images.read`
        fault = "not a whole JPEG, WebP or PNG image; encode it again"
        if isinstance(error, MemoryError):
            fault = "MemoryError; make it smaller"
        raise ImageError(f"payload of {len(payload)} bytes: {fault}") from error


def reduced(picture: Image.Image, least: int) -> Image.Image:
    """A picture at 1/2, 1/4 or 1/8 of its size, as long as the shorter side keeps `least` pixels.

    Each pixel is the mean of a square, as JPEG decoders have it for nothing. Raises ImageError.
    """
    times = factor(picture.size, least)
    with _enough_memory(picture):
        return picture if times == 1 else picture.reduce(times)


def coarse(small: Image.Image) -> Image.Image:
    """What JPEG's quality 5 leaves of a picture, at an eighth of its size, from `reduced` by 8.

    A pixel there is a block's mean, which is kept in steps of 20, and of 21.25 for the colours of
    four blocks. Pixels are 1 to 3 of 255 from those of a decoder, in a tenth of its time.
    """
    luma, *colours = small.convert("YCbCr").split()
    bands = [luma.point(lambda tone: 128 + 20 * round((tone - 128) / 20))]
    for colour in colours:
        means = colour.reduce(2).point(
            lambda tone: int(128.4 + 21.25 * round((tone - 128) / 21.25))
        )
        halves = 0, 0, small.width / 2, small.height / 2
        bands.append(resized(means, small.size, "nearest", halves))
    return Image.merge("YCbCr", bands).convert("RGB")


def factor(size: tuple[int, int], least: int) -> int:
    """By how much `reduced` reduces a picture of this size: 1, 2, 4 or 8."""
    return max(times for times in (1, 2, 4, 8) if times == 1 or min(size) // times >= least)


def resized(
    picture: Image.Image,
    size: tuple[int, int],
    method: str,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """A picture, or its part in `box`, at another size, by one of Pillow's methods in lower case.

    (width, height) and (left, top, right, bottom) in pixels. Raises ImageError for want of memory.
    """
    with _enough_memory(picture):
        return picture.resize(size, Image.Resampling[method.upper()], box)


@contextlib.contextmanager
def _enough_memory(picture: Image.Image) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        size = f"{picture.width} x {picture.height}"
        raise ImageError(f"{size} pixels: MemoryError; make it smaller") from error


def sample(picture: Image.Image, every: int) -> Image.Image:
    """One of every so many rows of blocks of 16 pixels, as one smaller picture.

    Of wide ones a half, a third or less each, one after the other. Which rows of so many changes,
    as lines of text have regular distances too. Raises ImageError.
    """
    rows, step = max(picture.height // 16, 1), every // 2 + 1
    groups = range(-(-rows // every))
    chosen = [row for n in groups if (row := n * every + n * step % every) < rows]
    parts = max(min(-(-picture.width // WIDEST), len(chosen) // 2), 1)  # each in two rows at least
    width = picture.width if parts == 1 else picture.width // (16 * parts) * 16
    with _enough_memory(picture):
        small = Image.new("RGB", (width, 16 * len(chosen)))
        for place, row in enumerate(chosen):
            left, top = place % parts * width, 16 * row
            small.paste(picture.crop((left, top, left + width, top + 16)), (0, 16 * place))
    return small


def estimate(
    sample: Image.Image, size: tuple[int, int], encoding: Encoding, own_tables: bool = False
) -> float:
    """Bytes of a picture of this size in pixels, from a sample of it or all.

    Standard deviation of errors over photographs of 500 x 375, from one row of three: of ratios to
    the reference, as JPEG with own tables, .004 to .007 (.006 to .015 for 12 rows of larger ones).
    Of WebP the quick method is asked: 9% at quality 60, from all of a picture 2%.
    """
    share = sample.width * sample.height / (size[0] * size[1])
    if encoding.format == "webp":
        quick = len(encode(sample, encoding, method=2))
        return quick / share * (QUICK_SAMPLED if share < 1 else QUICK)
    payload = encode(sample, encoding, own_tables=own_tables)
    header = payload.rindex(b"\xff\xda") + 14  # bytes of a JPEG that are no pixels
    return header + (len(payload) - header) / share


def webp_growth(quality: int) -> float:
    """Bytes of a WebP over those at quality 60, in the mean over 80 photographs of ImageNet.

    Standard deviation 3 to 5 percent at quality 40, 8 at 20 and at 85, 20 at 5 and at 95.
    """
    return float(np.interp(quality, [*GROWTH], [*GROWTH.values()]))
