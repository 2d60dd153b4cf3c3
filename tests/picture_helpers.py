"""Images made byte by byte, as Pillow writes none: TIFF and PNG of any layout."""

import struct
import zlib

import numpy as np

ADAM7 = "0088", "0488", "4084", "0244", "2042", "0122", "1021"  # of each pass: y, x and steps
CODES = {1: "B", 2: "B", 3: "H", 4: "I"}


def packed(rows, bits, order):
    """Rows of samples [rows, n] -> bytes, each row beginning a byte."""
    if bits in (8, 16, 32):
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    ones = rows[:, :, None].astype(np.uint32) >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(ones.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def blocks(plane, tile, strips):
    """Parts of samples [h, w, channels] that a TIFF has, rows of them [rows, n]."""
    height, width, _ = plane.shape
    if not tile:
        rows = -(-height // strips)
        for y in range(0, height, rows):
            yield plane[y : y + rows].reshape(min(rows, height - y), -1)
        return
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            part = plane[y : y + tile, x : x + tile]
            missing = [(0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)]
            yield np.pad(part, missing).reshape(tile, -1)


def directory(samples, bits, photometric, order, at, more=(), **layout):
    """Blocks of a TIFF and the tags of its directory, the blocks being at `at` in the file."""
    planar, tile, strips = (layout.get(name, 1) for name in ("planar", "tile", "strips"))
    height, width, channels = samples.shape
    planes = [samples] if planar == 1 else np.split(samples, channels, axis=2)
    tile = tile if tile > 1 else 0
    parts = [packed(rows, bits, order) for plane in planes for rows in blocks(plane, tile, strips)]
    if layout.get("deflate"):
        parts = [zlib.compress(part) for part in parts]
    places = [at + sum(map(len, parts[:n])) for n in range(len(parts))]
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels)}
    tags |= {259: (3, [8 if layout.get("deflate") else 1]), 262: (3, [photometric])}
    tags |= {277: (3, [channels]), 284: (3, [planar])}
    sizes = list(map(len, parts))
    if tile:
        tags |= {322: (4, [tile]), 323: (4, [tile]), 324: (4, places), 325: (4, sizes)}
    else:
        tags |= {273: (4, places), 278: (4, [-(-height // strips)]), 279: (4, sizes)}
    return b"".join(parts), tags | dict(more)


def entries(tags, order, at, following=0):
    """A directory at `at`, with what does not fit into it behind it."""
    head, behind = struct.pack(order + "H", len(tags)), b""
    end = at + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(values)}{CODES[kind]}", *values)
        head += struct.pack(order + "HHI", tag, kind, len(values))
        if len(raw) > 4:
            head += struct.pack(order + "I", end + len(behind))
            behind += raw
        else:
            head += raw.ljust(4, b"\0")
    return head + struct.pack(order + "I", following) + behind


def header(order, at):
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at)


def tiff(samples, bits, photometric, order="<", more=(), **layout):
    """A file of samples [h, w, channels]; `layout`: planar, tile, strips, deflate."""
    data, tags = directory(samples, bits, photometric, order, 8, more, **layout)
    return header(order, 8 + len(data)) + data + entries(tags, order, 8 + len(data))


def two_pictures(first, others, order="<", within=True):
    """A file of (samples, bits, photometric, tags): others in its SubIFDs, or next in line."""
    data, places = b"", []
    for samples, bits, photometric, more in others:
        pixels, tags = directory(samples, bits, photometric, order, 8 + len(data), more)
        data += pixels
        places.append(8 + len(data))
        data += entries(tags, order, places[-1])
    samples, bits, photometric, more = first
    pixels, tags = directory(samples, bits, photometric, order, 8 + len(data), more)
    data += pixels
    if within:
        tags |= {330: (4, places)}
    end = entries(tags, order, 8 + len(data), 0 if within else places[0])
    return header(order, 8 + len(data)) + data + end


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples, bits, colour, chunks=(), interlaced=False):
    """A PNG of samples [h, w, channels] and a colour type: 0 grey, 2 RGB, 3 palette, 4 and 6."""

    def rows(part):
        flat = part.reshape(len(part), -1)
        return b"".join(b"\0" + packed(row[None], bits, ">") for row in flat)

    passes = [tuple(map(int, each)) for each in ADAM7] if interlaced else [(0, 0, 1, 1)]
    parts = [samples[y::down, x::across] for y, x, down, across in passes]
    height, width, _ = samples.shape
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    body = zlib.compress(b"".join(rows(part) for part in parts if part.size))
    middle = b"".join(chunk(*each) for each in chunks)
    end = chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle + end
