"""What the figures share: tables, agents trained once, intervals, colours."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import adacompress_ref
from adacompress_ref import agents
from adacompress_ref.core.config import PAPER, Config
from adacompress_ref.storage.files import save_atomically
from adacompress_ref.tables.environment import RecordedImage, split
from adacompress_ref.tables.evaluation import Measures
from adacompress_ref.tables.table import Table

from ... import models, tables

SEEDS = 5
TEST_SHARE = 0.2
PRESETS = ("authors", "paper")
SERVICES = tables.SERVICES[:3]
QUALITIES = tuple(range(5, 100, 10))
TITLES = {
    "squeezenet": "SqueezeNet 1.1",
    "efficientnet-lite0": "EfficientNet-Lite0",
    "efficientnet-lite1": "EfficientNet-Lite1",
    "imagenet": "ImageNet",
    "bsds": "BSDS",
    "lowlight": "low light, real",
    "night": "night, simulated",
    "authors": "preset authors",
    "paper": "preset paper",
    "fixed": "best fixed level",
}
# Okabe and Ito's colours, told apart with any colour vision; and a marker for each as well.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, SKY, GREY = "#CC79A7", "#56B4E9", "#777777"
COLOURS = {
    "squeezenet": BLUE,
    "efficientnet-lite0": ORANGE,
    "efficientnet-lite1": GREEN,
    "imagenet": BLUE,
    "bsds": GREEN,
    "lowlight": ORANGE,
    "night": PINK,
    "authors": BLUE,
    "paper": ORANGE,
    "fixed": GREY,
}
MARKERS = {"squeezenet": "o", "efficientnet-lite0": "s", "efficientnet-lite1": "^"}
WIDTH = 8.0  # inches of a picture

# What a cached agent depends on besides its configuration and its table.
_SOURCES = (
    *(f"core/{name}" for name in ("agent", "config", "controller", "equations", "estimator")),
    *(f"core/{name}" for name in ("qnetwork", "replay", "roles", "training")),
    "tables/environment",
)


@dataclass(frozen=True)
class Bench:
    """Where photographs are, and where what has been made is kept."""

    data: Path
    cache: Path = models.CACHE

    def table(self, service: str, scenery: str = "imagenet") -> Table:
        """Raises tables.Missing."""
        return _table(service, scenery, self.data, self.cache)


@cache
def _table(service: str, scenery: str, data: Path, cache: Path) -> Table:
    return tables.table(service, scenery, data, cache)


@dataclass(frozen=True)
class Trained:
    """What one trained agent chooses, and which images it saw."""

    actions: np.ndarray  # [N], for every image of the table
    train: np.ndarray  # indices
    test: np.ndarray

    def held_out(self, measures: Measures) -> dict[str, Any]:
        """Means of agreement, size ratio and reward on images that the agent has not seen."""
        return measures.take(self.test).policy("agent", self.actions[self.test])


def split_photographs(names: list[str], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and to test on; the crops of a photograph, NAME-0.png on, stay together."""
    sources = [re.sub(r"-\d+\.png$", "", name) for name in names]
    places = {source: place for place, source in enumerate(dict.fromkeys(sources))}
    _, tested = split(len(places), TEST_SHARE, rng)
    is_tested = np.isin([places[source] for source in sources], tested)
    return np.flatnonzero(~is_tested), np.flatnonzero(is_tested)


def train_agent(table: Table, config: Config, rows: np.ndarray, seed: int) -> Any:
    """Algorithm 1 on some images of a table."""
    view = agents.view_of(config)
    images = [RecordedImage(table, int(row), view) for row in rows]
    return tables.trained_agent(config, images, np.random.default_rng(seed))


def measures_of(table: Table) -> Measures:
    """As the paper's presets see a table; alpha and beta are the same in both."""
    return Measures.of(table, agents.view_of(PAPER), PAPER.alpha, PAPER.beta)


def trained(bench: Bench, table: Table, config: Config, seed: int) -> Trained:
    """The agent of a seed, which also draws the split; trained once and kept as JSON."""
    states = agents.view_of(config).of_table(table)
    description = json.dumps([dataclasses.asdict(config), seed], sort_keys=True)
    digest = hashlib.sha256(description.encode())
    for name in _SOURCES:
        digest.update((Path(adacompress_ref.__file__).parent / f"{name}.py").read_bytes())
    digest.update(np.ascontiguousarray(states).tobytes())
    digest.update(np.ascontiguousarray(table.bytes).tobytes())
    digest.update("\n".join(table.labels.ravel().tolist()).encode())
    train_rows, test_rows = split_photographs(table.images, np.random.default_rng(seed))
    digest.update(train_rows.astype("<i8").tobytes())
    path = bench.cache / "agents" / f"{digest.hexdigest()[:24]}.json"
    if path.exists():
        actions = json.loads(path.read_text("utf-8"))["actions"]
    else:
        agent = train_agent(table, config, train_rows, seed)
        actions = agent.q_values(states).argmax(axis=1).tolist()
        record = {"service": table.source.service, "preset": config.preset, "seed": seed}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_atomically(path, json.dumps({**record, "actions": actions}).encode())
    return Trained(np.array(actions), train_rows, test_rows)


def all_trained(bench: Bench, table: Table, name: str, seeds: int = SEEDS) -> list[Trained]:
    """The agents of a preset, one for each seed."""
    return [trained(bench, table, agents.preset(name), seed) for seed in range(seeds)]


def interval(samples: list[np.ndarray], draws: int = 2000) -> dict[str, float]:
    """Mean and 95% bootstrap interval; `samples` holds one array of values for each seed.

    Seeds are drawn with replacement, then the images of each: both kinds of chance count.
    """
    rng = np.random.default_rng(0)
    means = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(len(samples), size=len(samples))
        means[draw] = np.mean(
            [rng.choice(samples[seed], size=len(samples[seed])).mean() for seed in chosen]
        )
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(np.mean([values.mean() for values in samples]))
    return {"mean": mean, "low": float(low), "high": float(high)}


def policy_intervals(
    measures: Measures, chosen: list[tuple[np.ndarray, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Of a policy that takes some actions on some images, one pair (rows, actions) a seed."""
    columns: dict[str, list[np.ndarray]] = {"agreement": [], "size_ratio": [], "reward": []}
    for rows, actions in chosen:
        known = ~np.isnan(measures.agreement[rows, 0])
        rows, actions = rows[known], actions[known]
        for name, values in columns.items():
            values.append(getattr(measures, name)[rows, actions])
    return {name: interval(values) for name, values in columns.items()}


def histogram(agents: list[Trained], actions: int) -> list[float]:
    """Share of held-out images at each level, mean over the agents."""
    shares = [
        np.bincount(agent.actions[agent.test], minlength=actions) / len(agent.test)
        for agent in agents
    ]
    return [float(share) for share in np.mean(shares, axis=0)]


def cumulative(values: np.ndarray) -> np.ndarray:
    return np.cumsum(values, dtype=np.float64)


def moving_mean(values: np.ndarray, n: int) -> np.ndarray:
    """Mean of the latest n values at each step; of all while there are fewer."""
    total = np.concatenate([[0.0], cumulative(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - n)
    return (total[ends] - total[starts]) / (ends - starts)
