"""A file sent as it is: its picture alone, where every decoder reads it."""

from __future__ import annotations

import re

from ..imaging.read import Photo

_SEGMENT = re.compile(rb"\xff+([\xc0-\xfe])(..)?", re.DOTALL)  # of JPEG: its kind and its length
_AFTER_SCAN = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])")
_COLOURS = re.compile(rb"JFIF\0.{9}|Adobe.{7}", re.DOTALL)  # what the channels are
_PROGRESSIVE, _HUFFMAN, _END, _SCAN = 0xC2, 0xC4, 0xD9, 0xDA
_NEEDED = (0xC0, 0xC1, _PROGRESSIVE, _HUFFMAN, _SCAN, 0xDB, 0xDD)  # frames of Huffman codes, tables


def original(photo: Photo) -> bytes | None:
    """The file without metadata, comments and whatever follows its picture; parts are copied.

    None where other pixels are to be sent, and for a JPEG of arithmetic codes or missing tables.
    """
    parts = {"jpeg": _jpeg, "png": _png, "webp": _webp}.get(photo.plain_format or "")
    return parts(photo.file) if parts else None


def _jpeg(data: bytes) -> bytes | None:
    parts, place, frame, tables = [data[:2]], 2, 0, {-1}
    while segment := _SEGMENT.match(data, place):
        start, kind = place, segment[1][0]
        if kind == _END:
            return b"".join(parts) + b"\xff\xd9"
        place = segment.end() - 2 + int.from_bytes(segment[2] or b"", "big")
        body = data[segment.end() : place]
        if kind == _HUFFMAN:
            while body:
                tables.add(body[0])  # 16 and its number, where it is for AC
                body = body[17 + sum(body[1:17]) :]
        elif kind == _SCAN:
            codes = body[2:-3:2]  # of each component: tables, 4 bits for DC and 4 for AC
            needed = {code >> 4 for code in codes} | {16 | code & 15 for code in codes}
            after = _AFTER_SCAN.search(data, place)
            if not after or (frame != _PROGRESSIVE and not needed <= tables):
                return None
            place = after.start()
        elif kind in _NEEDED[:3]:
            frame = kind
        if kind in _NEEDED or _COLOURS.fullmatch(body):
            parts.append(data[start:place])
        elif not (0xE0 <= kind <= 0xEF or kind == 0xFE):  # metadata, a comment
            return None
    return None


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
