"""Do smooth images need a higher level, and busy ones a lower, as the paper's Figure 7 has it?

`python -m bench.paper.insight [--table TABLE --images DIR] [--json]`

Correlation of two levels with two measures of the photograph, all over the images of TABLE; without
it, of the table of `imagenet` by SqueezeNet (`bench.tables`). The claim expects a negative
coefficient for the first measure and a positive one for the second.

Levels, by their place among the table's encodings:
- chosen by the shipped agent of a preset (AC-4), over the images that it was not trained on;
- needed: the lowest level such that at it and at every higher one of the table the reference's
  best label is among the five best (AC-1 with K = 1). Images that fail at the highest level need
  more than there is; they, and images whose reference has no label, are left out and counted.

Measures, over the whole 8 x 8 blocks of the photograph's luma (0 to 255):
- local variance: mean of the blocks' variances;
- smooth area: share of blocks whose standard deviation is below 4.

Intervals: 95%, percentile bootstrap over images, 2000 draws, seed 0.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from adacompress_ref import agents
from adacompress_ref.core.equations import agreement
from adacompress_ref.imaging import read as images
from adacompress_ref.storage import artifacts
from adacompress_ref.tables.table import Table

from .. import tables
from ..command import parser

BLOCK, SMOOTH = 8, 4.0  # pixels a side; of 255
DRAWS = 2000


def block_measures(pixels: np.ndarray) -> tuple[float, float]:
    """Local variance and smooth area of [height, width, 3]; NaN where no block fits."""
    luma = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)
    rows, columns = (length // BLOCK for length in luma.shape)
    if not rows * columns:
        return float("nan"), float("nan")
    blocks = luma[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    variances = blocks.var(axis=(1, 3))  # [rows, columns]
    return float(variances.mean()), float((variances < SMOOTH**2).mean())


def needed_levels(table: Table) -> np.ndarray:
    """The needed level of each image [N], as a place among the encodings; NaN where none is."""
    levels = np.full(len(table.images), np.nan)
    highest = len(table.source.encodings) - 1
    for image in range(len(levels)):
        reference, *answers = (
            [label.name for label in table.answers(image, column)]
            for column in (-1, *range(highest + 1))
        )
        for level in range(highest, -1, -1):
            if not agreement(reference, answers[level]):
                break
            levels[image] = level
    return levels


def chosen_levels(table: Table, name: str) -> np.ndarray:
    """The level that the shipped agent of a preset chooses [N]; NaN where it was trained."""
    agent = agents.load(artifacts.find(f"agent-{name}.npz"))
    view = agents.view_of(agent.config)
    agents.check_fits(agent, view.stamp(table.source.extractor))
    places = np.array([table.source.encodings.index(encoding) for encoding in view.encodings])
    chosen = agent.predict(view.of_table(table.only(view.encodings)))[0]
    levels = places[chosen].astype(np.float64)
    trained = set(agent.stamp["trained_on"])
    levels[[digest in trained for digest in table.digests]] = np.nan
    return levels


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """NaN where one of the two does not vary."""
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale else float("nan")


def ranks(values: np.ndarray) -> np.ndarray:
    """From 0; equals share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[places]


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return pearson(ranks(x), ranks(y))


def correlate(levels: np.ndarray, measure: np.ndarray) -> dict:
    """Both coefficients with their intervals, over the images that have both values."""
    known = np.isfinite(levels) & np.isfinite(measure)
    x, y = levels[known], measure[known]
    if len(x) < 3:
        raise ValueError(f"{len(x)} images have both values, which is too few; take another table")
    draws = np.random.default_rng(0).integers(len(x), size=(DRAWS, len(x)))
    report: dict = {"images": len(x)}
    for name, coefficient in (("spearman", spearman), ("pearson", pearson)):
        values = [coefficient(x[draw], y[draw]) for draw in draws]
        low, high = np.nanpercentile(values, (2.5, 97.5))
        report[name] = {"value": coefficient(x, y), "low": float(low), "high": float(high)}
    return report


def measure(table: Table, folder: Path) -> dict:
    measures = []
    for name, digest in zip(table.images, table.digests, strict=True):
        photo = images.read(folder / name, name=name)
        if hashlib.sha256(photo.file).hexdigest() != digest:
            raise ValueError(f"{photo.name}: not the photograph that the table was made from")
        measures.append(block_measures(photo.pixels))
    variance, smooth = np.array(measures).T
    needed = needed_levels(table)
    levels = {
        f"chosen by {name}": chosen_levels(table, name)
        for name, config in sorted(agents.presets().items())
        if set(agents.view_of(config).encodings) <= set(table.source.encodings)
    }
    levels["needed"] = needed
    return {
        "images": len(needed),
        "no_needed_level": int(np.isnan(needed).sum()),
        "correlations": [
            {"level": level, "measure": name, **correlate(values, against)}
            for level, values in levels.items()
            for name, against in (("local variance", variance), ("smooth area", smooth))
        ],
    }


def main(arguments: list[str] | None = None) -> int:
    command = parser("bench.paper.insight", __doc__, data=True)
    command.add_argument("--table", metavar="TABLE", help="made by label")
    command.add_argument("--images", metavar="DIR", type=Path, help="what it was made from")
    options = command.parse_args(arguments)
    if (options.table is None) != (options.images is None):
        command.error("--table and --images go together")
    try:
        if options.table:
            report = measure(Table.load(options.table), options.images)
        else:
            folder = tables.folder_of("imagenet", options.data)
            report = measure(tables.table(tables.BUNDLED, "imagenet", options.data), folder)
    except (OSError, ValueError, tables.Missing) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report))
        return 0
    print(f"{'level':<18} {'measure':<15} {'images':>6} {'Spearman':>22} {'Pearson':>22}")
    for row in report["correlations"]:
        both = (row["spearman"], row["pearson"])
        shown = [f"{each['value']:.3f} ({each['low']:.3f}, {each['high']:.3f})" for each in both]
        print(
            f"{row['level']:<18} {row['measure']:<15} {row['images']:>6} "
            f"{shown[0]:>22} {shown[1]:>22}"
        )
    print(f"{report['no_needed_level']} of {report['images']} images have no needed level")
    return 0


if __name__ == "__main__":
    sys.exit(main())
