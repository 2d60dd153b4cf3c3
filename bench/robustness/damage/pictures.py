"""Damaged images: other parts, other sizes, other headers."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.running.metadata import kept_exif
from adacompress_ref.views.drift import SIDE

from .general import Case, Random, cut, expect, flipped, pick

MODES = {
    "jpeg": ("RGB", "L", "CMYK"),
    "png": ("RGB", "RGBA", "P", "L", "LA", "I;16", "1", "interlaced"),
    "webp": ("RGB", "RGBA"),
    "gif": ("P", "L", "RGBA"),
    "bmp": ("RGB", "RGBA", "P", "L", "1"),
    "tiff": ("RGB", "RGBA", "P", "L", "I;16", "LA", "CMYK", "1"),
}
OPTIONS: dict[str, dict[str, tuple]] = {
    "jpeg": {"progressive": (False, True)},
    "png": {"compress_level": (1,)},
    "webp": {"lossless": (False, True), "method": (0,)},
    "tiff": {"compression": (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")},
}
PARTS = {  # where a file comes apart
    "jpeg": rb"(?=\xff[\xc0-\xfe])",
    "png": rb"(?s)(?=.{4}(?:IHDR|PLTE|tRNS|iCCP|eXIf|acTL|fcTL|fdAT|IDAT|IEND))",
    "webp": rb"(?=VP8[ LX]|ALPH|ANIM|ANMF|EXIF|ICCP)",
    "gif": rb"(?=\x21[\xf9\xfe\xff]|\x2c\0\0\0\0)",
    "bmp": b"(?s)" + b"|".join(rb"(?<=\A.{%d})" % place for place in range(2, 66, 4)),
    "tiff": rb"(?=[\x00-\x53]\x01[\x01-\x0d]\0)",
}
SIZES: dict[str, dict[bytes, Callable[[int, int], bytes]]] = {  # what is before them, and they
    "jpeg": {rb"(\xff[\xc0-\xc2]..\x08)....": lambda w, h: struct.pack(">HH", h, w)},
    "png": {rb"(IHDR).{8}": lambda w, h: struct.pack(">II", w, h)},
    "webp": {
        rb"(VP8 .{7}\x9d\x01\x2a)....": lambda w, h: struct.pack("<HH", w & 0x3FFF, h & 0x3FFF),
        rb"(VP8L....\x2f)....": lambda w, h: struct.pack("<I", w & 0x3FFF | (h & 0x3FFF) << 14),
        rb"(VP8X.{8}).{6}": lambda w, h: struct.pack("<I", w)[:3] + struct.pack("<I", h)[:3],
    },
    "gif": {rb"(GIF8..|\x2c\0\0\0\0)....": lambda w, h: struct.pack("<HH", w, h)},
    "bmp": {rb"(\ABM.{16}).{8}": lambda w, h: struct.pack("<II", w, h)},
    "tiff": {
        rb"(\x00\x01)[\x03\x04].{9}": lambda w, h: struct.pack("<HII", 4, 1, w),
        rb"(\x01\x01)[\x03\x04].{9}": lambda w, h: struct.pack("<HII", 4, 1, h),
    },
}
ADAM7 = "0088", "0488", "4084", "0244", "2042", "0122", "1021"  # of each pass: y, x and steps


def interlaced(image: Image.Image) -> bytes:
    """RGB as interlaced PNG, which Pillow reads and does not write."""
    pixels, rows = np.asarray(image), b""
    for y, x, down, across in (map(int, each) for each in ADAM7):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[y::down, x::across] if row.size)
    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    chunks = b"IHDR" + header, b"IDAT" + zlib.compress(rows), b"IEND"
    lengths = ((struct.pack(">I", len(each) - 4), each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        length + chunk + struct.pack(">I", zlib.crc32(chunk)) for length, chunk in lengths
    )


def encoded(rng: Random, kind: str, photo: Image.Image) -> tuple[str, bytes]:
    """A photograph in one variant of a format, often with metadata or several frames."""
    mode = pick(rng, MODES[kind])
    if mode == "interlaced":
        return mode, interlaced(photo)
    options = {name: pick(rng, values) for name, values in OPTIONS.get(kind, {}).items()}
    mode = "RGB" if options.get("compression") == "jpeg" else mode
    image = photo.convert("L").convert("I").convert(mode) if mode == "I;16" else photo.convert(mode)
    if kind not in ("bmp", "gif") and rng.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = int(rng.integers(1, 9)), "maker"
        profile = ImageCms.createProfile(pick(rng, ("sRGB", "LAB", "XYZ")))
        options["exif"] = exif.tobytes()
        options["icc_profile"] = ImageCms.ImageCmsProfile(profile).tobytes()
    if kind not in ("bmp", "jpeg") and rng.random() < 0.25:
        options["save_all"] = True
        options["append_images"] = [image.transpose(Image.Transpose.ROTATE_180)]
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"{mode} {options!r:.60}", stream.getvalue()


def swapped(rng: Random, kind: str, data: bytes, other: bytes) -> bytes:
    """Segments or chunks in other places, missing, or those of another file."""
    parts, others = (re.split(PARTS[kind], each) for each in (data, other))
    for _ in range(int(rng.integers(1, 4))):
        one, two = (int(place) for place in rng.integers(len(parts), size=2))
        move = pick(rng, ("exchanged", "gone", "added", "replaced"))
        if move == "exchanged":
            parts[one], parts[two] = parts[two], parts[one]
        elif move == "gone":
            parts[one] = b""
        else:
            parts[one] = parts[one] * (move == "added") + pick(rng, others)
    return b"".join(parts)


def resized(rng: Random, kind: str, data: bytes, limit: int) -> bytes:
    """Another width and height declared, together often near the limit of pixels."""
    pixels, aspect = limit * 2.0 ** rng.uniform(-4, 3), 2.0 ** rng.uniform(-6, 6)
    width, height = int((pixels * aspect) ** 0.5), int((pixels / aspect) ** 0.5)
    width, height = pick(rng, [(width, height)] * 4 + [(0, height), (width, 2**31 - 1)])
    most = 0xFFFF if kind in ("jpeg", "gif") else 2**31 - 1
    for pattern, pack in SIZES[kind].items():
        size = pack(min(width, most), min(height, most))
        data = re.sub(b"(?s)" + pattern, lambda match: match[1] + size, data)  # noqa: B023
    return data


def mended(kind: str, data: bytes) -> bytes:
    """The checksums of chunks of a PNG, or the length of a WebP, as they should be."""
    if kind == "webp":
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    place = 8
    while kind == "png" and place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        data = data[:end] + struct.pack(">I", zlib.crc32(data[place + 4 : end])) + data[end + 4 :]
        place = end + 4
    return data


def image_case(kind: str, rng: Random, folder: Path, photo: Image.Image) -> Case:
    """An image that is damaged, read, encoded and decoded."""
    limit = pick(rng, (*[images.PIXEL_LIMIT] * 4, photo.width * photo.height, 10_000))
    damage = pick(rng, ("flipped", "cut", "spliced", "swapped", "swapped", "resized"))
    if rng.random() < 0.005:  # whole, but of few bytes and many pixels
        damage, limit = "blank", images.PIXEL_LIMIT
        photo = Image.new("RGB", [int((limit * rng.uniform(0.1, 1.1)) ** 0.5)] * 2)
    variant, data = encoded(rng, kind, photo)
    if damage == "swapped":
        data = swapped(rng, kind, data, encoded(rng, kind, photo.rotate(180))[1])
    elif damage == "resized":
        data = resized(rng, kind, data, limit)
    elif damage == "spliced":
        head = encoded(rng, pick(rng, list(MODES)), photo)[1][: int(rng.integers(2, 300))]
        data = head + data[int(rng.integers(len(head) + 1)) :]
    elif damage != "blank":
        data = (flipped if damage == "flipped" else cut)(rng, data)
    if rng.random() < 0.7:
        data = mended(kind, data)

    def use() -> None:
        found = images.read(data, pixel_limit=limit)
        width, height = found.picture.size
        expect(found.pixels.shape == (height, width, 3), "not [h, w, 3]")
        expect(found.pixels.dtype == np.uint8, "not uint8")
        expect(found.picture.mode == "RGB" and not found.picture.info, "more than a picture")
        expect(0 < height * width <= limit, f"{width} x {height} is beyond the limit")
        payload = codec.encode(found.picture, REFERENCE, kept_exif(found, False)[0])
        expect(codec.decode(payload).size == found.picture.size, "encoded to another size")
        small, seen = codec.reduced(found.picture, SIDE), codec.decode(payload, SIDE)
        expect(small.size == seen.size, "reduced to another size")

    return f"{variant} {damage}, limit {limit:,}", use
