"""A file sent as it is: its picture alone, where every decoder reads it."""

from __future__ import annotations

import re

from ..imaging.read import Photo

_SEGMENT = re.compile(rb"\xff+([\xc0-\xd8\xda-\xfe])(..)", re.DOTALL)  # its kind and its length
_AFTER_SCAN = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])|\Z")
_COLOURS = re.compile(rb"JFIF\0.{9}|Adobe.{7}", re.DOTALL)  # what the channels are
_FRAMES, _HUFFMAN, _SCAN = (0xC0, 0xC1, 0xC2), 0xC4, 0xDA  # frames of Huffman codes
_NEEDED = (*_FRAMES, _HUFFMAN, _SCAN, 0xDB, 0xDD)


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
            if kind == _SCAN and (after := _AFTER_SCAN.search(data, place)):
                place = after.start()
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
