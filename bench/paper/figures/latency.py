"""Time from photograph to uploaded bytes: published, and here, by bandwidth of the link."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import PAPER
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.extractor import CHANNELS, Extractor, pool, tensor

from ... import tables
from .common import BLUE, GREEN, ORANGE, PRESETS, QUALITIES, SERVICES, WIDTH, Bench, all_trained

# Published for a simulation on a GTX 1080 Ti: mean KB uploaded, ms of the decision, ms sent.
PUBLISHED_KB = {"conventional": 42.68, "adacompress": 18.46}
PUBLISHED_DECISION_MS = 2.09
PUBLISHED_TRANSMISSION_MS = {"conventional": 12.35, "adacompress": 5.34}
PUBLISHED_OVERALL_MS = {"conventional": 12.35, "adacompress": 7.43}

BANDWIDTHS = (1, 2, 5, 10, 20, 27.65, 50, 100, 200, 500)  # Mbit/s
TIMED = 60  # photographs whose decision is timed


def transmission_ms(kilobytes: float, megabits: float) -> float:
    """KB of 1,000 bytes over a link of so many Mbit/s."""
    return kilobytes * 8 / megabits


def bandwidth(kilobytes: float, milliseconds: float) -> float:
    """Mbit/s of a link that takes so many ms for so many KB."""
    return kilobytes * 8 / milliseconds


def break_even(reference_kb: float, compressed_kb: float, decision_ms: float) -> float:
    """The bandwidth in Mbit/s above which deciding takes longer than the bytes saved."""
    return bandwidth(reference_kb - compressed_kb, decision_ms)


def published() -> dict[str, Any]:
    """12.35 -> 7.43 ms from its own inputs: the link that the two sizes and one time imply."""
    link = bandwidth(PUBLISHED_KB["conventional"], PUBLISHED_TRANSMISSION_MS["conventional"])
    sent = {name: transmission_ms(size, link) for name, size in PUBLISHED_KB.items()}
    return {
        "upload_kb": PUBLISHED_KB,
        "decision_ms": PUBLISHED_DECISION_MS,
        "implied_mbit_per_s": link,
        "transmission_ms": sent,
        "overall_ms": {
            "conventional": sent["conventional"],
            "adacompress": sent["adacompress"] + PUBLISHED_DECISION_MS,
        },
        "printed_overall_ms": PUBLISHED_OVERALL_MS,
        "break_even_mbit_per_s": break_even(
            PUBLISHED_KB["conventional"], PUBLISHED_KB["adacompress"], PUBLISHED_DECISION_MS
        ),
    }


def decision_ms(bench: Bench, names: list[str]) -> dict[str, float]:
    """Median time of the decision, per number of threads: resize, E, pooling and Q-values.

    Decoding and encoding are left out: they are needed without AdaCompress as well.
    """
    folder = tables.folder_of("imagenet", bench.data, bench.cache)
    photos = [images.read(folder / name, name=name).picture for name in names]
    agent = DQNAgent(PAPER, CHANNELS, np.random.default_rng(0))
    times = {}
    for threads in (1, 2):
        extractor = Extractor(threads=threads)
        extractor.run(tensor(photos[0], PAPER.resize)[None])  # the first run allocates
        spent = []
        for picture in photos:
            start = time.perf_counter()
            feature_map = extractor.run(tensor(picture, PAPER.resize)[None])
            agent.predict(pool(feature_map, PAPER.pooling)[0])
            spent.append((time.perf_counter() - start) * 1000)
        times[str(threads)] = float(np.median(spent))
    return times


def latency(bench: Bench) -> dict[str, Any]:
    """Published, and measured bytes with a measured decision time."""
    table = bench.table(SERVICES[0])
    decision = decision_ms(bench, table.images[:: max(1, len(table.images) // TIMED)][:TIMED])
    reference = float(table.bytes[:, -1].mean() / 1000)
    fastest = min(decision.values())
    rows: dict[str, Any] = {}
    for service in SERVICES:
        here = bench.table(service)
        rows[service] = {}
        for name in PRESETS:
            sizes = [
                here.bytes[agent.test, agent.actions[agent.test]].mean() / 1000
                for agent in all_trained(bench, here, name)
            ]
            size = float(np.mean(sizes))
            rows[service][name] = {
                "upload_kb": size,
                "break_even_mbit_per_s": break_even(reference, size, fastest),
            }
    return {
        "published": published(),
        "here": {
            "reference_kb": reference,
            "fixed_15_kb": float(table.bytes[:, QUALITIES.index(15)].mean() / 1000),
            "decision_ms_by_threads": decision,
            "services": rows,
        },
        "mbit_per_s": list(BANDWIDTHS),
    }


def draw_latency(results: dict[str, Any], plt: Any, bench: Bench) -> Any:
    here, printed = results["here"], results["published"]
    fastest = min(here["decision_ms_by_threads"].values())
    agent_kb = here["services"][SERVICES[0]]["authors"]["upload_kb"]
    kb, about = printed["upload_kb"], f"here: SqueezeNet, preset authors, decision {fastest:.1f} ms"
    panels = (
        ("published figures", kb["conventional"], kb["adacompress"], printed["decision_ms"], None),
        (about, here["reference_kb"], agent_kb, fastest, here["fixed_15_kb"]),
    )
    figure, grid = plt.subplots(1, 2, figsize=(WIDTH, 3.8), sharey=True)
    links = np.geomspace(min(results["mbit_per_s"]), max(results["mbit_per_s"]), 200)
    for axes, (title, reference, compressed, decision, fixed) in zip(grid, panels, strict=True):
        axes.plot(links, transmission_ms(reference, links), color=BLUE, label="always quality 75")
        ours = transmission_ms(compressed, links) + decision
        axes.plot(links, ours, "--", color=ORANGE, label="AdaCompress, decision included")
        if fixed is not None:
            low = transmission_ms(fixed, links)
            axes.plot(links, low, ":", color=GREEN, label="always quality 15")
        even = break_even(reference, compressed, decision)
        axes.axvline(even, color="black", linewidth=1)
        axes.text(even * 1.08, 150, f"break-even\n{even:.1f} Mbit/s", fontsize=8.5, va="center")
        axes.set(xscale="log", yscale="log", xlabel="bandwidth of the link (Mbit/s)")
        axes.set_title(title, fontsize=9.5)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    link = printed["implied_mbit_per_s"]
    overall = printed["overall_ms"]
    grid[0].plot([link, link], list(overall.values()), "o", color="black", markersize=4)
    grid[0].annotate(
        f"{overall['conventional']:.2f} to {overall['adacompress']:.2f} ms\nat {link:.1f} Mbit/s",
        (link, overall["adacompress"]),
        xytext=(-92, -42),
        textcoords="offset points",
        fontsize=8.5,
        arrowprops={"arrowstyle": "-", "color": "black", "linewidth": 0.7},
    )
    grid[0].set_ylabel("time of an upload (ms)")
    handles, labels = grid[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure
