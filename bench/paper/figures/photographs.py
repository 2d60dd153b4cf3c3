"""Single photographs: labels that change between qualities, and labels that hold at quality 5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.running.folder import find

from ... import tables
from .common import BLUE, ORANGE, QUALITIES, SERVICES, TITLES, WIDTH, Bench

SEA_SNAKE = "n01751748"  # the synset of the summary's extra analysis
SHOWN = 10  # photographs named in the JSON, per service and kind


def slides(bench: Bench) -> dict[str, Any]:
    """Where the best label at quality 55, or 5, is not or is that of quality 75.

    Named first: those of whose label at quality 75 the service was surest.
    """
    services = {}
    for service in SERVICES:
        table = bench.table(service)
        best = table.labels[:, :, 0]  # [N, A + 1]
        changed = best[:, QUALITIES.index(55)] != best[:, -1]
        kept = best[:, QUALITIES.index(5)] == best[:, -1]
        order = np.argsort(-table.scores[:, -1, 0], kind="stable")

        def named(those: np.ndarray, quality: int, table: Any = table, order: Any = order) -> list:
            column = QUALITIES.index(quality)
            rows = [int(row) for row in order if those[row]][:SHOWN]
            return [
                {
                    "image": table.images[row],
                    "quality": quality,
                    "reference": [str(table.labels[row, -1, 0]), float(table.scores[row, -1, 0])],
                    "compressed": [
                        str(table.labels[row, column, 0]),
                        float(table.scores[row, column, 0]),
                    ],
                }
                for row in rows
            ]

        services[service] = {
            "changed_at_55": float(changed.mean()),
            "kept_at_5": float(kept.mean()),
            "changed": named(changed, 55),
            "kept": named(kept, 5),
        }
    return {"images": len(table.images), "services": services}


def draw_slides(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    services = results["services"]
    figure, grid = plt.subplots(len(services), 4, figsize=(WIDTH, 2.35 * len(services)))
    for row, (service, values) in enumerate(services.items()):
        for column, kind in ((0, "changed"), (2, "kept")):
            chosen = values[kind][min(row, len(values[kind]) - 1)]
            picture = _read(bench, chosen["image"])
            for place, level, answer in (
                (column, 75, "reference"),
                (column + 1, chosen["quality"], "compressed"),
            ):
                axes = grid[row, place]
                payload = codec.encode(picture, Encoding("jpeg", None, level))
                axes.imshow(_square(codec.decode(payload)))
                axes.spines[:].set_visible(False)
                name, score = chosen[answer]
                axes.set_title(f"quality {level}\n{_short(name)}, {score:.2f}", fontsize=8.5)
                axes.set_xticks([])
                axes.set_yticks([])
        grid[row, 0].set_ylabel(
            f"{TITLES[service]}\nchanged at 55: {values['changed_at_55']:.1%}\n"
            f"kept at 5: {values['kept_at_5']:.1%}",
            fontsize=8.5,
        )
    figure.tight_layout()
    return figure


def top_five(bench: Bench) -> dict[str, Any]:
    """The five best labels with probabilities, for the file as it is and for quality 20.

    Of a sea snake, as in the summary; where there is none, of another snake, or of any image.
    """
    folder = tables.folder_of("imagenet", bench.data, bench.cache)
    names = find(folder)
    wanted = (lambda each: each.startswith(SEA_SNAKE), lambda each: "snake" in each, bool)
    name = next(each for fits in wanted for each in names if fits(each))
    photo = images.read(folder / name, name=name)
    payload = codec.encode(photo.picture, Encoding("jpeg", None, 20))
    versions = {"original": photo.picture, "quality 20": codec.decode(payload)}
    services: dict[str, Any] = {}
    for service in SERVICES:
        classifier: Any = tables.open_named(service, bench.cache)
        services[service] = {}
        for version, picture in versions.items():
            scores = classifier.probabilities(picture)
            best = np.argsort(-scores, kind="stable")[:5]
            services[service][version] = [
                [classifier.sidecar.labels[place], float(scores[place])] for place in best
            ]
    return {
        "image": name,
        "original_bytes": len(photo.file),
        "reference_bytes": len(codec.encode(photo.picture, REFERENCE)),
        "quality_20_bytes": len(payload),
        "services": services,
    }


def draw_top_five(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    picture = _read(bench, results["image"])
    payload = codec.encode(picture, Encoding("jpeg", None, 20))
    services = results["services"]
    figure, grid = plt.subplots(2, 1 + len(services), figsize=(WIDTH, 4.2))
    sizes = (results["original_bytes"], results["quality_20_bytes"])
    for row, (version, shown) in enumerate(
        (("original", picture), ("quality 20", codec.decode(payload)))
    ):
        grid[row, 0].imshow(shown)
        grid[row, 0].set_title(f"{version}, {sizes[row] / 1000:.1f} KB", fontsize=9)
        grid[row, 0].axis("off")
        for column, (service, answers) in enumerate(services.items(), start=1):
            axes = grid[row, column]
            labels = [_short(label) for label, _ in answers[version]]
            scores = [score for _, score in answers[version]]
            places = np.arange(len(labels))
            axes.barh(places, scores, color=(BLUE, ORANGE)[row], alpha=0.45)
            for place, label, score in zip(places, labels, scores, strict=True):
                axes.text(0.02, place, f"{label}  {score:.3f}", va="center", fontsize=8)
            axes.set(xlim=(0, 1), yticks=[], ylim=(len(labels) - 0.4, -0.6))
            axes.tick_params(labelsize=8)
            if row == 0:
                axes.set_title(TITLES[service], fontsize=9)
            else:
                axes.set_xlabel("probability", fontsize=9)
    figure.tight_layout()
    return figure


def _read(bench: Bench, name: str) -> Image.Image:
    folder: Path = tables.folder_of("imagenet", bench.data, bench.cache)
    return images.read(folder / name, name=name).picture


def _square(picture: Image.Image) -> Image.Image:
    """The centre square: pictures in a row are of one height."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
