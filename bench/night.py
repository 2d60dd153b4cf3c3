"""Night from physics: what a sensor would have seen with less light.

`python -m bench.night --images DIR --output DIR [--exposure 0.0625] [--seed 0]` writes a night
copy of every photograph of a folder, as PNG.

1. sRGB to linear light (IEC 61966-2-1), 1.0 = white.
2. Times `exposure`: 1/8 or 1/16 of the light, three or four stops.
3. Divided by the white balance gains: what the sensor's own channels collect. Silicon under a
   Bayer filter is less sensitive to red and blue, and gains of about 2 and 1.5 in daylight are
   what raw files of common cameras record.
4. Electrons: full well 5,000 at white in green, the order of a phone's pixel of 1.0 to 1.4 um.
   Shot noise is Poisson. Read noise is Gaussian, 3 electrons: CMOS sensors have 1 to 5.
5. Back: times the gains (red and blue noise grow with them), clipped, sRGB, 8 bits.

There is no automatic gain: the photograph stays as dark as the scene. Left out: demosaicking,
dark current, fixed patterns, motion blur, a camera's own denoising, and lamps in the picture.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from .command import parser

FULL_WELL = 5000.0  # electrons in green at white
READ_NOISE = 3.0  # electrons, standard deviation
WHITE_BALANCE = (2.0, 1.0, 1.5)  # gains of red, green, blue


def to_linear(pixels: np.ndarray) -> np.ndarray:
    """sRGB uint8 -> linear light, float64 in [0, 1]."""
    values = np.arange(256) / 255
    table = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return table[pixels]


def to_srgb(light: np.ndarray) -> np.ndarray:
    """Linear light, clipped to [0, 1] -> sRGB uint8."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(values * 255).astype(np.uint8)


def simulate(pixels: np.ndarray, exposure: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels [height, width, 3] uint8 sRGB -> the same scene with `exposure` of its light."""
    if not 0 < exposure <= 1:
        raise ValueError(f"exposure {exposure}: must be above 0 and at most 1")
    gains = np.array(WHITE_BALANCE)
    electrons = to_linear(pixels) * (exposure * FULL_WELL) / gains
    seen = rng.poisson(electrons) + rng.normal(0, READ_NOISE, pixels.shape)
    return to_srgb(seen * gains / FULL_WELL)


def crop(pixels: np.ndarray, rng: np.random.Generator, smallest: float = 0.4) -> np.ndarray:
    """A part of a photograph [height, width, 3] at a random scale and place.

    Both sides are the same uniformly random share, from `smallest` to 1, of the whole: each
    visit is a new image.
    """
    height, width = pixels.shape[:2]
    share = rng.uniform(smallest, 1)
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top = int(rng.integers(height - rows + 1))
    left = int(rng.integers(width - columns + 1))
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


def generator(seed: int, *parts: str) -> np.random.Generator:
    """One for each name, so that what is drawn does not depend on the order of files."""
    digest = hashlib.sha256("/".join(parts).encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])


def write_png(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    Image.fromarray(pixels).save(partial, "PNG", compress_level=1)
    partial.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: done; 1: some photographs could not be read; 2: no folder to read."""
    from adacompress_ref.imaging import read as images
    from adacompress_ref.running import folder as files

    command = parser("bench.night", __doc__, as_json=False)
    command.add_argument("--images", type=Path, required=True, metavar="DIR")
    command.add_argument("--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--exposure", type=float, default=1 / 16, help="default 1/16")
    command.add_argument("--seed", type=int, default=0)
    options = command.parse_args(arguments)
    if not 0 < options.exposure <= 1:
        command.error("--exposure must be above 0 and at most 1")
    try:
        names = files.find(options.images)
    except images.ImageError as error:
        command.error(str(error))
    failed = 0
    for name in names:
        try:
            pixels = images.read(options.images / name, name=name).pixels
        except images.ImageError as error:
            print(error, file=sys.stderr)
            failed += 1
            continue
        dark = simulate(pixels, options.exposure, generator(options.seed, name))
        write_png(dark, options.output / f"{name}.png")
    print(f"{options.output}: {len(names) - failed} photographs at exposure {options.exposure:g}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
