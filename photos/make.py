#!/usr/bin/env python3
"""Make the photographs of this folder: `python photos/make.py SCIKIT_IMAGE GCOMPRIS`.

SCIKIT_IMAGE is the folder into which the wheel of scikit-image 0.26.0 was unpacked, GCOMPRIS that
of the Debian package gcompris-qt-data 3.1-2. Authors, licences and crops: SOURCES.md.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import zlib
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
# Our name: the file, and the part of it that is taken (left, top, right, bottom; None: all of it).
OF_SCIKIT_IMAGE = {
    "cat": ("chelsea.png", (60, 0, 451, 300)),
    "coffee": ("coffee.png", None),
    "rocket": ("rocket.jpg", (200, 40, 440, 280)),
    "tripod": ("camera.png", (152, 112, 512, 512)),
}
OF_GCOMPRIS = {
    "hammer": ("tools/hammer5.webp", (0, 0, 200, 192)),
    "pan": ("others/pan.webp", None),
    "screwdriver": ("tools/screwDriver.webp", None),
    "tape": ("tools/measuringTape4.webp", None),
}
BUNDLE = "usr/share/gcompris-qt/rcc/categorization.rcc"
INSIDE = "/gcompris/src/activities/categorization/resource/images/"


def files_of_bundle(bundle: bytes) -> dict[str, bytes]:
    """The files in a resource file of Qt, by path: a tree of names, and data after their length."""
    magic, version, tree, data, names = struct.unpack_from(">4sIIII", bundle)
    if magic != b"qres":
        raise ValueError("not a resource file of Qt")
    node_size = 14 if version < 2 else 22
    found: dict[str, bytes] = {}

    def walk(node: int, path: str) -> None:
        name_at, flags, first, second = struct.unpack_from(">IHII", bundle, tree + node * node_size)
        if node:
            (length,) = struct.unpack_from(">H", bundle, names + name_at)
            start = names + name_at + 6
            path += "/" + bundle[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:  # a folder: how many nodes are in it, and which is the first
            for inner in range(second, second + first):
                walk(inner, path)
            return
        (length,) = struct.unpack_from(">I", bundle, data + second)
        content = bundle[data + second + 4 : data + second + 4 + length]
        found[path] = zlib.decompress(content[4:]) if flags & 1 else content

    walk(0, "")
    return found


def jpeg(content: bytes, box: tuple[int, int, int, int] | None) -> bytes:
    """That part of the picture as JPEG of quality 95, grey or RGB."""
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("L" if opened.mode == "L" else "RGB")
    buffer = io.BytesIO()
    image.crop(box or (0, 0, *image.size)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def main() -> int:
    """Write every photograph; exit status 1 if a source does not have one."""
    parser = argparse.ArgumentParser(description="Make the photographs of the first run.")
    parser.add_argument("scikit_image", type=Path, help="unpacked wheel of scikit-image")
    parser.add_argument("gcompris", type=Path, help="unpacked Debian package gcompris-qt-data")
    options = parser.parse_args()
    try:
        bundle = files_of_bundle((options.gcompris / BUNDLE).read_bytes())
        made = {name: jpeg(bundle[INSIDE + file], box) for name, (file, box) in OF_GCOMPRIS.items()}
        folder = options.scikit_image / "skimage" / "data"
        for name, (file, box) in OF_SCIKIT_IMAGE.items():
            made[name] = jpeg((folder / file).read_bytes(), box)
    except (OSError, KeyError, ValueError) as error:
        print(f"make.py: {error}", file=sys.stderr)
        return 1
    for name, content in sorted(made.items()):
        (HERE / f"{name}.jpg").write_bytes(content)
        print(f"{name}.jpg: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
