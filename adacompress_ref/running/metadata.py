"""What a file says beside its picture: itself without that, and EXIF for another picture."""

from __future__ import annotations

import re
from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import PREFIXES

from ..imaging.read import Photo, quiet
from ..imaging.tiff import DESCRIPTIVE

_SEGMENT = re.compile(rb"\xff+([\xc0-\xd8\xda-\xfe])(..)", re.DOTALL)  # its kind and its length
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # a literal first: 30 x as fast
_COLOURS = re.compile(rb"JFIF\0.{9}|Adobe.{7}", re.DOTALL)  # what the channels are
_FRAMES, _HUFFMAN, _SCAN = (0xC0, 0xC1, 0xC2), 0xC4, 0xDA  # frames of Huffman codes
_NEEDED = (*_FRAMES, _HUFFMAN, _SCAN, 0xDB, 0xDD)

_EXIF, _GPS = 34665, 34853  # directories of their own
# Not so any more: orientation, colours (of TIFF, interoperability, gamma).
_GONE = {_EXIF, _GPS, 274, 301, 318, 319, 529, 532, 40965, 42240}
_SIDES, _COLOUR_SPACE, _SRGB = (256, 257, 40962, 40963), 40961, 1
_ROOM = 65_400  # bytes; a segment of JPEG has 65,533


def original(photo: Photo) -> bytes | None:
    """The file without metadata, comments and whatever follows its picture; parts are copied.

    None where other pixels are to be sent, and for a JPEG of arithmetic codes or missing tables.
    """
    parts = {"jpeg": _jpeg, "png": _png, "webp": _webp}.get(photo.plain_format or "")
    return parts(photo.file) if parts else None


def _jpeg(data: bytes) -> bytes | None:
    parts, place, table_count, tables = [data[:2]], 2, 0, set()
    while segment := _SEGMENT.match(data, place):
        start, kind, place = place, segment[1][0], segment.start(2)
        place += int.from_bytes(segment[2], "big")
        body = data[segment.end() : place]
        if kind in _NEEDED or _COLOURS.fullmatch(body):
            if kind == _SCAN:
                after = _AFTER_SCAN.search(data, place)
                place = after.start() if after else len(data)
            parts.append(data[start:place])
        elif not (0xE0 <= kind <= 0xEF or kind == 0xFE):  # metadata, a comment
            return None
        if kind in _FRAMES:
            table_count = 4 if body[5:6] > b"\1" else 2  # of luminance, of colour; for DC, for AC
        while kind == _HUFFMAN and body:
            tables.add(body[0])
            body = body[17 + sum(body[1:17]) :]
    end = data[place : place + 2]
    return b"".join([*parts, end]) if end == b"\xff\xd9" and len(tables) >= table_count else None


def _png(data: bytes) -> bytes:
    parts, place = [data[:8]], 8
    while parts[-1][4:8] != b"IEND" and place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] in (b"IHDR", b"IDAT", b"IEND"):
            parts.append(data[place:end])
        place = end
    return b"".join(parts)


def _webp(data: bytes) -> bytes | None:
    """With parts beside the picture, a header says so."""
    size = 8 + int.from_bytes(data[4:8], "little")
    return data[:size] if data[12:16] in (b"VP8 ", b"VP8L") else None


def kept_exif(photo: Photo, resized: bool) -> tuple[bytes | None, list[str]]:
    """EXIF of the picture, None where there is none, and the names of tags that cannot be kept.

    Tags of its size are left out where it may be `resized`.
    """
    said, lost, room = photo.said, [], _ROOM
    tags: dict[tuple[int, int], Any] = {}
    if said is None:
        return None, ["all of it"]
    now = dict(zip(_SIDES, photo.picture.size * 2, strict=True)) | {_COLOUR_SPACE: _SRGB}
    gone = (*_GONE, *_SIDES) if resized else _GONE
    for place in (0, _EXIF, _GPS):
        try:
            with quiet():
                found = said.get_ifd(place) if place else said
                tags |= {(place, tag): value for tag, value in found.items() if tag not in gone}
        except Exception:  # Pillow raises nearly every kind
            lost.append(ExifTags.TAGS.get(place, "the first directory"))
    kept = Image.Exif()
    for (place, tag), value in sorted(tags.items(), key=lambda entry: len(repr(entry[1]))):
        if photo.file[:4] in PREFIXES and not place and tag not in DESCRIPTIVE:
            continue
        alone, value = Image.Exif(), now.get(tag, value)
        alone[place or tag] = {tag: value} if place else value
        try:
            size = len(alone.tobytes())
        except Exception:
            size = room + 1
        if size <= room:
            room -= size
            (kept.setdefault(place, {}) if place else kept)[tag] = value
        else:
            lost.append(str((ExifTags.GPSTAGS if place == _GPS else ExifTags.TAGS).get(tag, tag)))
    return kept.tobytes() if len(kept) else None, lost
