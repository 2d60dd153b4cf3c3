"""J(x, c): the bytes of image x under encoding c; and back, and pictures at other sizes."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image

from ..storage.files import ImageError, reason
from .encoding import Encoding
from .read import quiet

_LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}  # pixels; the encoders' own limits
_HEADER = 623  # bytes of a JPEG that are no pixels


def encode(picture: Image.Image, encoding: Encoding, exif: bytes | None = None) -> bytes:
    """J(x, c): the file that is uploaded. `picture`: mode RGB, without metadata.

    An image is made smaller, by bilinear interpolation, but never larger. JPEG is baseline with
    4:2:0 subsampling, and the standard Huffman tables, as the published system has it; where a
    short side is named, with tables of its own (-10%). WebP is lossy. No metadata but `exif`.
    May be called from several threads. Raises ImageError where the format, or the memory, cannot
    hold the image.
    """
    width, height = size = encoding.dimensions(picture.size)
    limit = _LONGEST_SIDE[encoding.format]
    if max(size) > limit:
        raise ImageError(
            f"{encoding.name}: {width} x {height} pixels, {limit} is the longest side that fits; "
            "name a smaller size"
        )
    options: dict[str, Any] = {"method": 4}  # 6: 6% fewer bytes, but 1% to 4% fewer labels kept
    if encoding.format == "jpeg":
        own_tables = encoding.short_side is not None
        options = {"subsampling": "4:2:0", "optimize": own_tables, "progressive": False}
    try:
        if size != picture.size:
            picture = resized(picture, size, "bilinear")
        # Pillow keeps an encoder's options in the image: a shallow copy for each thread. A deep
        # one takes longer than to encode it (12 megapixels: 31 and 25 ms).
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


def _buffer(encoding: Encoding) -> BinaryIO:
    """A file in memory. Pillow leaves Python's lock for one that the system knows as a file.

    A decision of preset `tuned` takes 9 ms on two threads then, and 12 otherwise.
    """
    if encoding.format == "jpeg":
        with contextlib.suppress(AttributeError, OSError):  # Linux alone; no descriptor is left
            return open(os.memfd_create("image"), "w+b", buffering=0)
    return io.BytesIO()


def decode(payload: bytes, least: int = 0) -> Image.Image:
    """The picture in what `encode` made, mode RGB; with `least`, as `reduced`, which is faster.

    Raises ImageError.
    """
    try:
        with quiet():
            image = Image.open(io.BytesIO(payload), formats=("JPEG", "WEBP"))
        whole = image.size
        if least:
            factor = _factor(image.size, least)
            image.draft("RGB", (image.width // factor, image.height // factor))  # JPEG alone
        image.load()
        picture: Image.Image = image if image.mode == "RGB" else image.convert("RGB")
        return reduced(picture, least) if least and picture.size == whole else picture
    except Exception as error:  # as in `images.read`
        fault = "not a whole JPEG or WebP image; encode it again"
        if isinstance(error, MemoryError):
            fault = "MemoryError; make it smaller"
        raise ImageError(f"payload of {len(payload)} bytes: {fault}") from error


def reduced(picture: Image.Image, least: int) -> Image.Image:
    """A picture at 1/2, 1/4 or 1/8 of its size, as long as the shorter side keeps `least` pixels.

    As JPEG decoders do it for nothing: each pixel is the mean of a square. Raises ImageError for
    want of memory.
    """
    factor = _factor(picture.size, least)
    with _enough_memory(picture):
        return picture if factor == 1 else picture.reduce(factor)


def _factor(size: tuple[int, int], least: int) -> int:
    return max(factor for factor in (1, 2, 4, 8) if factor == 1 or min(size) // factor >= least)


def resized(
    picture: Image.Image,
    size: tuple[int, int],
    method: str,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """A picture at another size, (width, height).

    `method` is one of Pillow's, in lower case: nearest, box, bilinear, bicubic, lanczos. `box`,
    (left, top, right, bottom) in pixels, is the part to take. Raises ImageError for want of memory.
    """
    with _enough_memory(picture):
        return picture.resize(size, Image.Resampling[method.upper()], box)


@contextlib.contextmanager
def _enough_memory(picture: Image.Image) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ImageError(
            f"{picture.width} x {picture.height} pixels: MemoryError; make it smaller"
        ) from error


def sample(picture: Image.Image, every: int) -> Image.Image:
    """One of every so many rows of blocks of 16 pixels, as one smaller picture.

    Which one of them changes, as a page of text has lines at regular distances too.
    Raises ImageError for want of memory.
    """
    rows, step = max(picture.height // 16, 1), every // 2 + 1
    groups = range(-(-rows // every))
    chosen = [row for n in groups if (row := n * every + n * step % every) < rows]
    with _enough_memory(picture):
        small = Image.new("RGB", (picture.width, 16 * len(chosen)))
        for place, row in enumerate(chosen):
            small.paste(picture.crop((0, 16 * row, picture.width, 16 * row + 16)), (0, 16 * place))
    return small


def estimate(picture: Image.Image, sample: Image.Image, encoding: Encoding) -> int:
    """Bytes of a picture as JPEG, from those of its sample.

    Ratios to that of quality 75, standard deviation of the error over photographs: .003 for one row
    of eight of 1 to 7 megapixels, .006 (quality 5) to .013 (35) for one of three of 500 x 375.
    """
    scale = picture.width * picture.height / (sample.width * sample.height)
    return round(_HEADER + scale * (len(encode(sample, encoding)) - _HEADER))
