"""Quality levels: what each costs and keeps, and which ones agents choose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ... import models
from .common import (
    COLOURS,
    GREY,
    MARKERS,
    PRESETS,
    QUALITIES,
    SEEDS,
    SERVICES,
    TITLES,
    WIDTH,
    Bench,
    all_trained,
    histogram,
    measures_of,
)

# Published for three classifiers on ImageNet: mean size in KB and top-1 at some qualities.
PUBLISHED_KB = {15: 12.4, 25: 17.1, 75: 39.9, 95: 93.6}
PUBLISHED_TOP1 = {
    "ResNet-50": {15: 0.716, 25: 0.755, 75: 0.776, 95: 0.778},
    "Inception v3": {15: 0.711, 25: 0.735, 75: 0.761, 95: 0.764},
    "VGG-16": {15: 0.672, 25: 0.701, 75: 0.713, 95: 0.713},
}
SCENERIES = ("imagenet", "bsds", "lowlight", "night")
SCENERY_SERVICES = SERVICES[:2]
SCENERY_SEEDS = 3


def motivation(bench: Bench) -> dict[str, Any]:
    """Agreement, top-1 and size at every fixed level, per service."""
    sidecar = json.loads(models.IMAGENET_LABELS.read_text("utf-8"))
    names = dict(zip(sidecar["synsets"], sidecar["labels"], strict=True))
    services = {}
    for service in SERVICES:
        table = bench.table(service)
        measures = measures_of(table)
        truth = np.array([names.get(image.split("_")[0], "") for image in table.images])
        services[service] = {
            "agreement": measures.agreement.mean(axis=0).tolist(),
            "top1": (table.labels[:, :-1, 0] == truth[:, None]).mean(axis=0).tolist(),
        }
    return {
        "images": len(table.images),
        "quality": list(QUALITIES),
        "size_ratio": measures.size_ratio.mean(axis=0).tolist(),
        "mean_kb": (table.bytes[:, :-1].mean(axis=0) / 1000).tolist(),
        "services": services,
        "published": {"mean_kb": PUBLISHED_KB, "top1": PUBLISHED_TOP1},
    }


def draw_motivation(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH, 3.4))
    for service, values in results["services"].items():
        style = {"color": COLOURS[service], "marker": MARKERS[service], "markersize": 4}
        left.plot(results["quality"], values["agreement"], label=TITLES[service], **style)
        middle.plot(results["quality"], values["top1"], **style)
    for name, values in results["published"]["top1"].items():
        levels = [int(level) for level in values]
        line = middle.plot(levels, list(values.values()), ":", color=GREY, linewidth=1)
        line[0].set_label("published, other networks" if name == "ResNet-50" else None)
    left.set(ylabel="agreement with quality 75", ylim=(0, 1.02))
    middle.set(ylabel="top-1, true labels", ylim=(0, 1.02))
    right.plot(results["quality"], results["size_ratio"], color="black", marker="o", markersize=4)
    published = results["published"]["mean_kb"]
    reference = next(kb for level, kb in published.items() if int(level) == 75)
    ratios = [kb / reference for kb in published.values()]
    right.plot([int(level) for level in published], ratios, ":", color=GREY, marker="x")
    right.set(ylabel="bytes relative to quality 75", ylim=(0, None))
    for axes in (left, middle, right):
        axes.set(xlabel="JPEG quality", xticks=range(5, 100, 20))
        axes.grid(alpha=0.3)
    handles = [*left.get_lines(), *middle.get_lines()[len(results["services"]) :][:1]]
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    return figure


def figure_5(bench: Bench) -> dict[str, Any]:
    """Levels that agents choose for held-out photographs, per service and preset."""
    services: dict[str, Any] = {}
    for service in SERVICES:
        table = bench.table(service)
        services[service] = {
            name: histogram(all_trained(bench, table, name), len(QUALITIES)) for name in PRESETS
        }
    return {"quality": list(QUALITIES), "seeds": SEEDS, "share": services}


def draw_figure_5(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    shares = results["share"]
    figure, grid = plt.subplots(1, len(shares), figsize=(WIDTH, 3.2), sharey=True, squeeze=False)
    for axes, (service, values) in zip(grid[0], shares.items(), strict=True):
        _pair_of_bars(axes, values, results["quality"])
        axes.set_title(TITLES[service], fontsize=10)
    _finish_bars(figure, grid)
    return figure


def figure_6(bench: Bench) -> dict[str, Any]:
    """Levels that agents choose, per scenery, each trained there; and what fixed levels keep."""
    shares: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    images = {}
    for service in SCENERY_SERVICES:
        shares[service], fixed[service] = {}, {}
        for scenery in SCENERIES:
            table = bench.table(service, scenery)
            images[scenery] = len(table.images)
            measures = measures_of(table)
            fixed[service][scenery] = {
                "agreement": measures.agreement.mean(axis=0).tolist(),
                "size_ratio": measures.size_ratio.mean(axis=0).tolist(),
            }
            shares[service][scenery] = {
                name: histogram(all_trained(bench, table, name, SCENERY_SEEDS), len(QUALITIES))
                for name in PRESETS
            }
    return {
        "quality": list(QUALITIES),
        "seeds": SCENERY_SEEDS,
        "images": images,
        "share": shares,
        "fixed": fixed,
    }


def draw_figure_6(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    services = results["share"]
    figure, grid = plt.subplots(
        len(SCENERIES), len(services), figsize=(WIDTH, 7.5), sharex=True, sharey=True
    )
    for column, (service, sceneries) in enumerate(services.items()):
        for row, (scenery, shares) in enumerate(sceneries.items()):
            _pair_of_bars(grid[row, column], shares, results["quality"])
            grid[row, column].set_title(f"{TITLES[scenery]}, {TITLES[service]}", fontsize=10)
    _finish_bars(figure, grid)
    return figure


def _pair_of_bars(axes: Any, shares: dict[str, list[float]], qualities: list[int]) -> None:
    places = np.arange(len(qualities))
    for index, (name, values) in enumerate(shares.items()):
        style = {"color": COLOURS[name], "hatch": (None, "//")[index]}
        style |= {"edgecolor": "white", "linewidth": 0, "label": TITLES[name]}
        axes.bar(places + (index - 0.5) * 0.42, values, 0.42, **style)
    axes.set_xticks(places, qualities, fontsize=8)
    axes.grid(axis="y", alpha=0.3)


def _finish_bars(figure: Any, grid: Any) -> None:
    for axes in grid[-1]:
        axes.set_xlabel("JPEG quality chosen")
    for axes in grid[:, 0]:
        axes.set_ylabel("share of images")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.3 / figure.get_figheight(), 1, 1))
