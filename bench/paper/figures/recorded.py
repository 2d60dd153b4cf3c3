"""Without a service here: the authors' recorded answers, quantisation tables, how many uploads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ... import tables
from ...command import GOLDEN, PHOTOGRAPHS
from .common import BLUE, COLOURS, GREEN, GREY, MARKERS, ORANGE, PINK, SKY, TITLES, WIDTH, Bench

ANSWERED = 25  # uploads at a level, of which a share is shown
SERIES = {
    "baidu 2019 ImageNet": (BLUE, "o"),
    "baidu 2019 DNIM": (SKY, "o"),
    "baidu 2020 ImageNet": (GREEN, "s"),
    "baidu 2020 DNIM": (GREY, "s"),
    "facepp 2020 ImageNet": (ORANGE, "^"),
    "facepp 2020 DNIM": (PINK, "^"),
}
NAMES = {"baidu": "Baidu", "facepp": "Face++", "rekognition": "Amazon Rekognition"}
SHOWN = (5, 15, 25, 75, 95)  # qualities of the quantisation tables
CUP = (170, 60, 234, 124)  # of coffee.jpg, 64 x 64 pixels
ADAPTIVITY = Path(__file__).resolve().parents[2] / "results" / "adaptivity.json"


def real_services(bench: Bench) -> dict[str, Any]:
    """Baidu, Face++ and Rekognition as the authors recorded them. Raises tables.Missing."""
    path = GOLDEN / "real_services.json"
    if not path.exists():
        raise tables.Missing(f"{path}: not there; ADACOMPRESS_TEST_DATA names the folder above")
    recorded = json.loads(path.read_text("utf-8"))
    rows = [dict(zip(recorded["columns"], row, strict=True)) for row in recorded["uploads"]]
    by_level: dict[str, dict[int, list[int]]] = {}
    for row in rows:
        service, scenery = (
            recorded["services"][row["service"]],
            recorded["sceneries"][row["scenery"]],
        )
        series = by_level.setdefault(f"{service} {row['year']} {scenery}", {})
        series.setdefault(row["quality"], []).append(row["kept"])
    published = {}
    for service, run in recorded["published_runs"].items():
        quality = np.array(run["quality"])
        reward = np.array(run["accuracy"]) - np.array(run["size_ratio"])
        chosen = {int(level): quality == level for level in np.unique(quality)}
        published[service] = {
            "images": len(quality),
            "reward": float(reward.mean()),
            "share": {level: float(those.mean()) for level, those in chosen.items()},
            "reward_where_chosen": {
                level: float(reward[those].mean()) for level, those in chosen.items()
            },
        }
    return {
        "uploads": len(rows),
        "kept": {
            series: {
                level: {"uploads": len(kept), "share": float(np.mean(kept))}
                for level, kept in sorted(levels.items())
            }
            for series, levels in sorted(by_level.items())
        },
        "asked_twice": recorded["asked_twice"],
        "published_runs": published,
    }


def draw_real_services(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH, 3.6))
    for series, (colour, marker) in SERIES.items():
        levels = {
            int(level): found["share"]
            for level, found in results["kept"].get(series, {}).items()
            if found["uploads"] >= ANSWERED
        }
        service, _, rest = series.partition(" ")
        style = {"color": colour, "marker": marker, "markersize": 4}
        left.plot(list(levels), list(levels.values()), label=f"{NAMES[service]} {rest}", **style)
    left.set(ylabel="agreement with quality 75", ylim=(0.3, 1.02), xticks=range(5, 100, 20))
    left.set_title("uploads of 2019 and 2020", fontsize=10)
    colours = {"baidu": GREEN, "rekognition": BLUE, "facepp": ORANGE}
    for place, (service, run) in enumerate(results["published_runs"].items()):
        where = run["reward_where_chosen"]
        often = [level for level in where if run["share"][level] * run["images"] >= ANSWERED]
        style = {"color": colours[service], "marker": "osD"[place], "markersize": 4}
        right.plot(list(map(int, often)), [where[level] for level in often], **style)
        right.axhline(run["reward"], color=colours[service], linestyle=":", linewidth=1.2)
        shares = [run["share"].get(str(level), 0) for level in range(5, 100, 10)]
        middle.plot(range(5, 100, 10), shares, label=NAMES[service], **style)
    middle.set(ylabel="share of 1,200 images", ylim=(0, None), xticks=range(5, 100, 20))
    middle.set_title("what published agents chose", fontsize=10)
    right.set(ylabel="reward: agreement - size ratio", xticks=range(5, 100, 20))
    right.set_title("what that earned; dotted: all", fontsize=10)
    for axes in (left, middle, right):
        axes.set(xlabel="JPEG quality")
        axes.grid(alpha=0.3)
    handles = [*left.get_lines(), *middle.get_lines()]
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.17, 1, 1))
    return figure


def _at(quality: int) -> Image.Image:
    buffer = io.BytesIO()
    with Image.open(PHOTOGRAPHS / "coffee.jpg") as opened:
        opened.convert("L").save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def quantisation(bench: Bench) -> dict[str, Any]:
    """The luminance table of each quality shown, row by row."""
    found = {quality: _at(quality).quantization[0] for quality in SHOWN}  # type: ignore[attr-defined]
    return {"quality": list(SHOWN), "table": {q: list(table) for q, table in found.items()}}


def draw_quantisation(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    shown = results["quality"]
    figure, grid = plt.subplots(2, len(shown), figsize=(WIDTH, 3.6))
    for column, quality in enumerate(shown):
        table = np.array(results["table"][str(quality)]).reshape(8, 8)
        top, below = grid[0][column], grid[1][column]
        top.imshow(np.log2(table), cmap="Greys", vmin=0, vmax=8)
        for row, line in enumerate(table):
            for place, step in enumerate(line):
                ink = "white" if step > 40 else "black"
                top.text(place, row, str(step), ha="center", va="center", fontsize=4.5, color=ink)
        below.imshow(np.asarray(_at(quality).crop(CUP)), cmap="gray", vmin=0, vmax=255)
        top.set_title(f"quality {quality}", fontsize=10)
        for axes in (top, below):
            axes.set(xticks=[], yticks=[])
    grid[0][0].set_ylabel("step of each\nfrequency", fontsize=9)
    grid[1][0].set_ylabel("64 x 64 pixels", fontsize=9)
    figure.tight_layout()
    return figure


def more_uploads(bench: Bench) -> dict[str, Any]:
    """Reward by uploads of an agent without training, as `bench.paper.adaptivity` found it."""
    return {"untrained": json.loads(ADAPTIVITY.read_text("utf-8"))["untrained"]}


def draw_more_uploads(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    figure, axes = plt.subplots(figsize=(WIDTH * 0.7, 3.2))
    for found in results["untrained"]:
        middle, deviation = np.array(found["above_best_fixed"]), np.array(found["deviation"])
        service = found["service"]
        style = {"color": COLOURS[service], "marker": MARKERS[service], "markersize": 4}
        axes.plot(found["uploads"], middle, label=TITLES[service], **style)
        low, high = middle - deviation, middle + deviation
        axes.fill_between(found["uploads"], low, high, color=COLOURS[service], alpha=0.12)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set(xscale="log", ylim=(-0.4, 0.08), xlabel="uploads with reference learned from")
    axes.set(ylabel="reward above the best fixed level")
    axes.set_xticks([10, 20, 50, 100, 200, 400], ["10", "20", "50", "100", "200", "400"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, frameon=False)
    figure.tight_layout()
    return figure
