"""Read any image safely.

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
from PIL import Image, ImageOps, UnidentifiedImageError

from ..storage.files import ImageError, printable, reason
from .colours import is_srgb, to_srgb

PIXEL_LIMIT = 8192 * 6144  # declared width times height: below 1 GB while it is read
FILE_LIMIT = 512 * 2**20  # bytes: more than PIXEL_LIMIT pixels of 32 bits take

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_ORIENTATION = 0x0112
# What a plain file may hold beside pixels: JPEG segments, entries of Pillow's `info`.
_PLAIN_SEGMENT = re.compile(rb"JFIF\0.{9}|ICC_PROFILE\0.*|Adobe.{7}", re.DOTALL)
_PLAIN_INFO = re.compile(
    "jfif.*|adobe.*|progress.*|dpi|aspect|gamma|srgb|chromaticity|icc_profile"
    "|loop|background|timestamp|duration"
)

# Pillow warns of odd metadata and of big images. `catch_warnings` swaps a global list: one thread
# at a time may be inside, but not while it decodes pixels (TIFF apart).
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

    def is_enough(self, size: int, formats: Collection[str]) -> bool:
        """Whether the file itself may go to a service that takes `formats`, in less than `size`."""
        return self.plain_format in formats and len(self.file) < size


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
        with quiet():
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
        with quiet():
            image.load()  # TIFF alone warns while it decodes
            exif = _turn(image)
        icc = image.info.get("icc_profile")
        if icc and is_srgb(icc):
            icc = None
        plain_format = str(image.format).lower() if not icc and _is_plain(image, data) else None
        picture = to_srgb(image, icc)
        del image  # before there is a third copy
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
def quiet() -> Iterator[None]:
    """Without Pillow's warnings."""
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _turn(image: Image.Image) -> bytes | None:
    """Upright, in place; the EXIF block. A broken one is common, and no reason to refuse pixels."""
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
        exif = image.getexif()
        exif.pop(_ORIENTATION, None)  # one that says nothing
        # TIFF keeps such entries among those that place its own pixels: not to be copied.
        if exif and image.format != "TIFF":
            return exif.tobytes()
    return None


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
