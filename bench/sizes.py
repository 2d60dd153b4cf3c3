"""How far estimated sizes are from what is sent, and what their constants are over photographs.

`python -m bench.sizes [--data DIR] [--count 80] [--json]`

Rows have a mean and a standard deviation over photographs, drawn from DIR/imagenet with seed 0:
- `ratio`: of a JPEG of full size with own Huffman tables to the reference, estimated less true;
- `growth`: log of a WebP's size over that at quality 60 (`codec.webp_growth`), at full size;
- `quick`: log of its size at quality 60 by method 4 over that by method 2 (`codec.QUICK`), of a
  picture at a short side of 224, and of rows of one at full size (`codec.QUICK_SAMPLED`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.running.folder import find
from adacompress_ref.survival.config import TUNED
from adacompress_ref.views.payloads import EVERY

from .command import parser

WHOLE, SMALL = Encoding("webp", None, 60), Encoding("webp", 224, 60)


def measured(picture: Image.Image) -> Iterator[tuple[str, float]]:
    """All numbers of one photograph, by the name of their row."""
    rows = codec.sample(picture, EVERY)
    reference = len(codec.encode(picture, REFERENCE))
    estimated = codec.estimate(rows, picture.size, REFERENCE)
    for encoding in map(Encoding.parse, TUNED.encodings[:-1]):
        truth = len(codec.encode(picture, encoding, own_tables=True)) / reference
        found = codec.estimate(rows, picture.size, encoding, own_tables=True) / estimated
        yield f"ratio, {encoding.name}", found - truth
    at_60 = len(codec.encode(picture, WHOLE))
    for quality in codec.GROWTH:
        size = len(codec.encode(picture, Encoding("webp", None, quality)))
        yield f"growth, webp-q{quality}", float(np.log(size / at_60))
    small = codec.resized(picture, SMALL.dimensions(picture.size), "bilinear")
    for name, shown, sample in (("a picture", small, small), ("rows", picture, rows)):
        share = sample.width * sample.height / (shown.width * shown.height)
        quick = len(codec.encode(sample, WHOLE, method=2)) / share
        yield f"quick, of {name}", float(np.log(len(codec.encode(shown, WHOLE)) / quick))


def rows_of(options: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each name. Raises ImageError or OSError."""
    folder = options.data / "imagenet"
    names = find(folder)
    drawn = np.random.default_rng(0).permutation(len(names))[: options.count]
    numbers: dict[str, list[float]] = {}
    for place in drawn:
        for name, value in measured(images.read(folder / names[place]).picture):
            numbers.setdefault(name, []).append(value)
    return [
        {
            "name": name,
            "mean": float(np.mean(values)),
            "deviation": float(np.std(values)),
            "photographs": len(values),
        }
        for name, values in numbers.items()
    ]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2: no photographs."""
    command = parser("bench.sizes", __doc__, data=True)
    command.add_argument("--count", type=int, default=80, metavar="N")
    options = command.parse_args(arguments)
    try:
        rows = rows_of(options)
    except (OSError, ValueError) as error:
        print(f"bench.sizes: {error}", file=sys.stderr)
        return 2
    for row in rows:
        shown = f"{row['name']:<22} {row['mean']:+.4f}, standard deviation {row['deviation']:.4f}"
        print(json.dumps(row) if options.json else shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
