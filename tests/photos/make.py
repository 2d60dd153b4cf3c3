#!/usr/bin/env python3
"""Make the photographs of this folder: `python tests/photos/make.py SCIKIT_IMAGE`.

SCIKIT_IMAGE is the wheel of scikit-image 0.26.0 or the folder it was unpacked into. Authors,
licences and changes: SOURCES.md.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
LONGEST_SIDE = 640
# Our name: the file in skimage/data. Its documentation declares each CC0 or public domain.
PHOTOS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "microaneurysms": "microaneurysms.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}


def read(source: Path, member: str) -> bytes:
    """The file `member` of the wheel or folder `source`."""
    if source.is_dir():
        return (source / member).read_bytes()
    with zipfile.ZipFile(source) as wheel:
        return wheel.read(member)


def jpeg(content: bytes) -> bytes:
    """The picture as JPEG of quality 95, grey or RGB, made smaller where it is too large."""
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("L" if opened.mode == "L" else "RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def main() -> int:
    """Write every photograph; exit status 1 if the source does not have one."""
    parser = argparse.ArgumentParser(description="Make the test photographs.")
    parser.add_argument("source", type=Path, help="wheel or unpacked folder of scikit-image")
    source = parser.parse_args().source
    for name, member in PHOTOS.items():
        try:
            content = jpeg(read(source, f"skimage/data/{member}"))
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            print(f"make.py: {member}: {error}", file=sys.stderr)
            return 1
        (HERE / f"{name}.jpg").write_bytes(content)
        print(f"{name}.jpg: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
