"""Read any image safely; J(x, c): the bytes of image x under encoding c.

An image may come from anywhere. Whatever is wrong with it ends as one `ImageError`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from .colours import is_srgb, to_srgb
from .config import Encoding
from .files import ImageError, printable, reason

PIXEL_LIMIT = 8192 * 6144  # declared width times height: below 1 GB while it is read
FILE_LIMIT = 512 * 2**20  # bytes: more than PIXEL_LIMIT pixels of 32 bits take

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}  # pixels; the encoders' own limits
_JPEG_EXIF_LIMIT = 65_533  # bytes in one JPEG segment
_HEADER = 623  # bytes of a JPEG that are no pixels
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a file may hold beside pixels and still be plain: JPEG segments, entries of Pillow's `info`.
_PLAIN_SEGMENT = re.compile(rb"JFIF\0.{9}|ICC_PROFILE\0.*|Adobe.{7}", re.DOTALL)
_PLAIN_INFO = re.compile(
    "jfif.*|adobe.*|progress.*|dpi|aspect|gamma|srgb|chromaticity|icc_profile"
    "|loop|background|timestamp|duration"
)

# Pillow warns of odd metadata and of big images, which is noise on an operator's terminal.
# `catch_warnings` swaps a global list, so one thread at a time may be inside. The lock is not
# held while pixels are decoded (TIFF apart), and no global setting of Pillow is touched.
_WARNINGS_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """An image as it was, and as the rest of the package sees it."""

    name: str  # for messages: control characters escaped
    picture: Image.Image  # mode RGB: sRGB, upright; without metadata
    file: bytes  # as it was
    plain_format: str | None  # jpeg, png or webp where the file could be sent as it is, else None
    exif: bytes | None  # EXIF block without orientation and thumbnail; None where there is none

    @property
    def pixels(self) -> np.ndarray:
        """A copy of the picture, [height, width, 3] uint8."""
        return np.array(self.picture)


def read(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO,
    *,
    name: str | None = None,
    pixel_limit: int = PIXEL_LIMIT,
) -> Photo:
    """The image in a file, in bytes or in a binary stream; of several frames, the first.

    EXIF orientation is applied, colours are converted to sRGB, transparency lies on white.
    `name` is how messages call it; WebP and TIFF may have half of `pixel_limit`. Raises
    ImageError, and nothing else, for an unusable image; TypeError for what is none of these.
    """
    name, data = _load(source, name)
    try:
        with _quiet():
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        width, height = image.size
        # decoders of these two hold up to six copies
        most = pixel_limit // 2 if image.format in ("WEBP", "TIFF") else pixel_limit
        if width * height > most:
            raise ImageError(
                f"{name}: too many pixels ({width} x {height}, the limit is {most:,}); "
                "make it smaller first"
            )
        if image.format != "TIFF":
            image.load()
        with _quiet():
            image.load()  # TIFF alone warns while it decodes
            orientation, exif = _read_exif(image)
        icc = image.info.get("icc_profile")
        if icc and is_srgb(icc):
            icc = None
        plain_format = str(image.format).lower() if not icc and _is_plain(image, data) else None
        picture = to_srgb(image, icc)
        del image  # before there is a third copy
        if orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
        picture = picture._new(picture.im)  # without its decoder, which may hold more
        picture.info = {}  # else encoders would copy some of it
        return Photo(name, picture, data, plain_format, exif)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: too many pixels (Pillow itself refuses more than "
            f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,}, whatever the limit); make it smaller first"
        ) from error
    except ImageError:
        raise
    except Exception as error:  # damaged files raise nearly every kind of exception in Pillow
        unknown = isinstance(error, UnidentifiedImageError)  # its text names an object of Python
        raise ImageError(
            f"{name}: cannot be read as JPEG, PNG, WebP, GIF, BMP or TIFF "
            f"({'format not recognised' if unknown else reason(error)}); "
            "fetch it again or convert it"
        ) from error


def encode(picture: Image.Image, encoding: Encoding, exif: bytes | None = None) -> bytes:
    """J(x, c): the file that is uploaded. `picture`: mode RGB, without metadata.

    An image is made smaller, by bilinear interpolation, but never larger. JPEG is baseline with
    4:2:0 subsampling, and the standard Huffman tables, as the published system has it; where a
    short side is named, with tables of its own (-10%). WebP is lossy. No metadata but `exif`.
    May be called from several threads. Raises ImageError where the format, or the memory, cannot
    hold the image.
    """
    width, height = size = dimensions(picture.size, encoding)
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
        if exif and len(exif) > _JPEG_EXIF_LIMIT:
            raise ImageError(
                f"{encoding.name}: {len(exif)} bytes of EXIF do not fit a JPEG file; leave them out"
            )
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
    except Exception as error:  # as in `read`
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


def dimensions(size: tuple[int, int], encoding: Encoding) -> tuple[int, int]:
    """(width, height) of an image of `size` under an encoding."""
    side = encoding.short_side
    if side is None or side >= min(size):
        return size
    scale = side / min(size)
    return round(size[0] * scale), round(size[1] * scale)


def decode(payload: bytes, least: int = 0) -> Image.Image:
    """The picture in what `encode` made, mode RGB; with `least`, as `reduced`, which is faster.

    Raises ImageError.
    """
    try:
        with _quiet():
            image = Image.open(io.BytesIO(payload), formats=("JPEG", "WEBP"))
        whole = image.size
        if least:
            factor = _factor(image.size, least)
            image.draft("RGB", (image.width // factor, image.height // factor))  # JPEG alone
        image.load()
        picture: Image.Image = image if image.mode == "RGB" else image.convert("RGB")
        return reduced(picture, least) if least and picture.size == whole else picture
    except MemoryError as error:
        raise ImageError(
            f"payload of {len(payload)} bytes: MemoryError; make it smaller"
        ) from error
    except Exception as error:  # as in `read`
        raise ImageError(
            f"payload of {len(payload)} bytes: not a whole JPEG or WebP image; encode it again"
        ) from error


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

    Ratios of two of them: of photographs within .003 (standard deviation) for one row of eight
    of 1 to 7 megapixels, .004 for one of three of 500 x 375 pixels.
    """
    scale = picture.width * picture.height / (sample.width * sample.height)
    return round(_HEADER + scale * (len(encode(sample, encoding)) - _HEADER))


def original_is_enough(photo: Photo, size: int, formats: Collection[str]) -> bool:
    """Whether the file itself may go to a service that takes `formats`, and has fewer bytes."""
    return photo.plain_format in formats and len(photo.file) < size


def _load(source: Any, name: str | None) -> tuple[str, bytes]:
    is_path = isinstance(source, (str, os.PathLike))
    name = printable(name or str(source if is_path else getattr(source, "name", "image")))
    too_large = ImageError(f"{name}: larger than {FILE_LIMIT >> 20} MiB; make it smaller first")
    try:
        if is_path:
            status = os.stat(source)  # before it is opened: a pipe would wait for a writer
            if not stat.S_ISREG(status.st_mode):
                raise OSError("not a regular file")
            if status.st_size > FILE_LIMIT:
                raise too_large
            with open(source, "rb") as stream:
                data = stream.read(FILE_LIMIT + 1)
        elif isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
        elif hasattr(source, "read") and not isinstance(source, io.TextIOBase):
            data = source.read(FILE_LIMIT + 1)
        else:
            raise TypeError(
                "an image is a path, bytes, a bytearray, a memoryview or a binary stream, "
                f"not {type(source).__name__}"
            )
    except (ImageError, TypeError):
        raise
    except Exception as error:  # ValueError: a null byte in a path; a stream may raise anything
        raise ImageError(f"{name}: {reason(error)}; check path and permissions") from error
    if not data:
        raise ImageError(f"{name}: empty file; fetch it again")
    if len(data) > FILE_LIMIT:
        raise too_large
    return name, data


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_exif(image: Image.Image) -> tuple[int, bytes | None]:
    """Orientation and EXIF block. Broken EXIF is common, and no reason to refuse good pixels."""
    orientation = 1
    with contextlib.suppress(Exception):
        exif = image.getexif()
        orientation = exif.pop(_ORIENTATION, 1)
        # TIFF keeps such entries among those that place its own pixels: not to be copied.
        if exif and image.format != "TIFF":
            return orientation, exif.tobytes()
    return orientation, None


def _is_plain(image: Image.Image, data: bytes) -> bool:
    """Whether the file holds RGB or grey pixels and little else, up to its last byte."""
    whole = {
        "JPEG": data.endswith(b"\xff\xd9"),
        "PNG": data.endswith(b"IEND\xaeB`\x82"),
        "WEBP": len(data) == 8 + int.from_bytes(data[4:8], "little"),
    }
    return (
        whole.get(image.format or "", False)
        and image.mode in ("RGB", "L")
        and not getattr(image, "is_animated", False)
        and all(_PLAIN_INFO.fullmatch(key) for key in map(str, image.info))
        and all(_PLAIN_SEGMENT.fullmatch(body) for _, body in getattr(image, "applist", ()))
        and not getattr(image, "private_chunks", ())
    )
