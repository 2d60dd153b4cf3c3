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
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PREFIXES

from ..storage.files import ImageError, printable, reason
from . import tiff
from .colours import is_srgb, said_profile, to_srgb

PIXEL_LIMIT = 8192 * 6144  # declared width times height: below 1 GB while it is read
FILE_LIMIT = 512 * 2**20  # bytes: more than PIXEL_LIMIT pixels of 32 bits take

# What is read here, and how such files end; some need a module that may be missing.
_ALL = {"JPEG": "jpg jpeg jpe jfif", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
_ALL |= {"TIFF": "tif tiff", "AVIF": "avif", "HEIF": "heic heif hif"}
_HEAVY = ("WEBP", "TIFF", "AVIF", "HEIF")
_NEEDS = {"AVIF": "PIL._avif", "HEIF": "pillow_heif"}
_FORMATS = tuple(name for name in _ALL if find_spec(_NEEDS.get(name, "PIL")))
ENDINGS = frozenset(" ".join(_ALL[name] for name in _FORMATS).split())
_GREYS = {"1": 255, "L;2": 85, "L;4": 17}  # PNG: what Pillow multiplies samples by
_HEIC = re.compile(rb"(?s).{4}ftyp(?!avi[fs]).{0,60}?(?:hei[cmsx]|hev[cmsx])")

# Pillow warns of odd metadata and of big images. `catch_warnings` swaps a global list: one thread
# at a time may be inside, but not while it decodes pixels (TIFF apart).
_WARNINGS_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """An image as it was, and as the rest of the package sees it."""

    name: str  # for messages: control characters escaped
    picture: Image.Image  # mode RGB: sRGB, upright; without metadata
    file: bytes  # as it was
    plain_format: str | None  # in lower case, where its pixels are those of the picture
    said: Image.Exif | None  # of itself; None where it cannot be read

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
    `name` is how messages call it; what takes more memory than a JPEG, WebP and TIFF among them,
    may have half of `pixel_limit`. Raises ImageError, and nothing else, for an unusable image;
    TypeError for what is none of these.
    """
    name, data = _load(source, name)
    try:
        with quiet():
            image = _opened(data)
        width, height = image.size
        # their decoders hold up to six copies; a transparent colour takes one more here
        clear = image.mode == "RGB" and "transparency" in image.info
        is_heavy = clear or image.format in _HEAVY or len(data) > 4 * PIXEL_LIMIT
        most = pixel_limit // 2 if is_heavy else pixel_limit
        if width * height > most:
            raise ImageError(
                f"{name}: too many pixels ({width} x {height}, the limit is {most:,}); "
                "make it smaller first"
            )
        if image.format == "PNG":
            _mend_samples(image)
        header = image.fp.tell()  # of a JPEG: Pillow has read up to its first scan
        if image.format != "TIFF":
            image.load()
        if image.format in ("JPEG", "MPO") and _is_cut(image, data, header):
            raise ValueError("image file is truncated")
        exif = data if image.format == "TIFF" else image.info.get("exif") or b""
        icc = image.info.get("icc_profile") or said_profile(image.info, exif)
        icc = None if icc and is_srgb(icc) else icc
        with quiet():
            image.load()  # TIFF alone warns while it decodes
            said, upright = None, True
            with contextlib.suppress(Exception):  # broken EXIF is common, and no reason to refuse
                said = image.getexif()
                said = None if not said and image.info.get("exif") else said
                upright = image.getexif().get(0x0112) not in range(2, 9)
                ImageOps.exif_transpose(image, in_place=True)
        changed = icc or not upright or image.has_transparency_data
        is_one = image.mode in ("RGB", "L") and not getattr(image, "is_animated", False)
        plain_format = str(image.format).lower() if is_one and not changed else None
        picture = to_srgb(image, icc)
        del image  # before there is a third copy
        picture = picture._new(picture.im)  # without its decoder, which may hold more
        picture.info = {}  # else encoders would copy some of it
        return Photo(name, picture, data, plain_format, said)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: too many pixels (Pillow itself refuses more than "
            f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,}, whatever the limit); make it smaller first"
        ) from error
    except ImageError:
        raise
    except Exception as error:  # damaged files raise nearly every kind of exception in Pillow
        raise ImageError(
            f"{name}: cannot be read as JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC "
            f"({_fault(error)}); fetch it again or convert it"
        ) from error


def _fault(error: Exception) -> str:
    """In words of the field, where Pillow speaks of itself or of Python."""
    if isinstance(error, UnidentifiedImageError):
        return "format not recognised, or its header is damaged"
    if not isinstance(error, (OSError, SyntaxError, ValueError, MemoryError)):
        return "damaged"
    text = reason(error)
    return "its texts are too large" if "MAX_TEXT" in text else re.sub(r"\bb'(\w*)'", r"\1", text)


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
                data = stream.read()  # with a size, so much memory is reserved
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


def _opened(data: bytes) -> Any:
    """Raises whatever Pillow does."""
    formats = tuple(name for name in _FORMATS if name != "HEIF")
    if data[:4] in PREFIXES:
        return tiff.photograph(data)
    if _HEIC.match(data):
        if "HEIF" not in _FORMATS:
            raise ValueError("HEIC needs the extra heif: pip install 'adacompress_ref[heif]'")
        formats = ("HEIF",)
        import_module("pillow_heif").register_heif_opener()
    return Image.open(io.BytesIO(data), formats=formats)


def _is_cut(image: Image.Image, data: bytes, header: int) -> bool:
    """Whether a decoded JPEG has no end marker, or its data end before its pixels do.

    Decoders fill the rest with grey and say so to nobody. Whether grey at the end is meant, other
    data in front of the end marker tell: none but missing pixels are made of them.
    """
    end = data.rfind(b"\xff\xd9", header)
    last: Any = image.getpixel((image.width - 1, image.height - 1))
    if end < 0 or last not in (128, (128, 128, 128)):
        return end < 0
    longer = io.BytesIO(data[:end] + b"\xaa" * 5000 + data[end:])
    return Image.open(longer, formats=("JPEG",)).tobytes() != image.tobytes()


def _mend_samples(image: Any) -> None:
    """The transparent grey of a PNG in the range that Pillow's pixels have.

    Raises ValueError where the lower halves of 16 bits are needed, which Pillow leaves out.
    """
    info, samples = image.info, image.tile[0][3]
    if "transparency" in info and samples in _GREYS:
        info["transparency"] = min(info["transparency"] * _GREYS[samples], 255)
    is_linear = info.get("gamma", 0) > 0.7 and not {"icc_profile", "srgb"} & info.keys()
    if samples.endswith("16B") and (is_linear or (samples == "RGB;16B" and "transparency" in info)):
        raise ValueError("linear light and a transparent colour are not read of 16 bits")
