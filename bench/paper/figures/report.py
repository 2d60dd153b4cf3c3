"""The picture of a report: `python -m bench.paper.figures.report`.

360 random crops of tests/photos, the 181st to the 270th in simulated night, go through `run
--agreement 0.9` with squeezenet and `report`; what headless Chromium sees of the page is set in two
columns. Crops that the service does not know, with a score below .3 at quality 75, are left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

import adacompress_ref as ac
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.storage.arrays import whole_file

from ...command import PHOTOGRAPHS, parser
from ...night import crop, simulate, write_png
from ..reproduce import RESULTS

CROPS, NIGHT, EXPOSURE, KNOWN = 360, range(180, 270), 1 / 16, 0.3
WIDTH, HEIGHT, SCALE = 512, 1465, 1.25  # of a column, in pixels of CSS; and pixels for each
SECTION, LINE = 40, 8  # white rows at least between two of them


def photograph(chromium: str, page: Path) -> Image.Image:
    """All of a page, its heat maps unfolded."""
    page.write_text(page.read_text("utf-8").replace("<details>", "<details open>"), "utf-8")
    options = "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run"
    options += f" --window-size={WIDTH},{4 * HEIGHT} --force-device-scale-factor={SCALE}"
    files = [f"--user-data-dir={page}.profile", f"--screenshot={page}.png", page.as_uri()]
    command = [chromium, *options.split(), *files]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # it says much
    return Image.open(f"{page}.png").convert("RGB")


def columns(screen: Image.Image) -> Image.Image:
    """Its beginning in two columns, each as long as whole sections and whole lines fit."""
    ink = np.flatnonzero((np.asarray(screen) < 250).any(axis=(1, 2)))  # rows that are not white
    top, height = 0, round(HEIGHT * SCALE)
    canvas = Image.new("RGB", (2 * screen.width, height), "white")
    for column, gap in enumerate((SECTION, LINE)):
        ends = ink[:-1][(np.diff(ink) > gap) & (ink[:-1] < top + height - LINE)]
        below = int(ends[-1]) + gap // 2
        canvas.paste(screen.crop((0, top, screen.width, below)), (column * screen.width, 0))
        top = below
    return canvas


def crops(rng: np.random.Generator, service: ac.Service) -> Iterator[tuple[str, np.ndarray]]:
    """Names and pixels of what a camera sees, without end, as far as the service knows it."""
    sources, count = sorted(PHOTOGRAPHS.glob("*.jpg")), 0
    while True:
        source = sources[rng.integers(len(sources))]
        pixels = crop(images.read(source).pixels, rng)
        if count in NIGHT:
            pixels = simulate(pixels, EXPOSURE, rng)
        labels = service.label(codec.encode(Image.fromarray(pixels), REFERENCE))
        if labels[0].score >= KNOWN:
            count += 1
            yield f"{count:03}-{source.stem}.png", pixels


def main() -> None:
    parser("bench.paper.figures.report", __doc__, as_json=False).parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        raise SystemExit("chromium is not installed: it makes the picture")
    seen = crops(np.random.default_rng(0), ac.open_service("squeezenet"))
    program = [sys.executable, "-m", "adacompress_ref"]
    with tempfile.TemporaryDirectory() as made:
        photos, state, page = (Path(made, name) for name in ("photos", "state", "page.html"))
        for name, pixels in islice(seen, CROPS):
            write_png(pixels, photos / name)
        run = ["run", "--images", photos, "--service", "squeezenet", "--state", state, "--quiet"]
        run += ["--agreement", "0.9"]
        subprocess.run([*program, *run], check=True, stdout=subprocess.DEVNULL)
        report = ["report", state, "--images", photos, "--worst", "1", "-o", page]
        subprocess.run([*program, *report], check=True)
        picture = columns(photograph(chromium, page)).quantize(256, kmeans=1)
    with whole_file(RESULTS / "report.png") as stream:
        picture.save(stream, "PNG", optimize=True)


if __name__ == "__main__":
    main()
