"""What adapting to each image gains over the best fixed encoding, on held-out photographs.

`python -m bench.paper.adaptivity [--data DIR] [--service NAME ...] [--seeds 3] [--json]`

Five-fold cross-validation: neither agent nor best fixed encoding has seen the photographs that it
is judged on. Sections:
- `imagenet`: the ten levels; `ladder`: the encodings of preset `ladder`, with WebP and without;
- `untrained`: after how many uploads with reference a new agent equals the best fixed level;
- `day_and_night`: one agent on photographs by day and in simulated night, mixed half and half.

Numbers are those of `adacompress evaluate`, means over seeds, with 95% intervals: percentile
bootstrap over photographs, all computed anew in each draw.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from adacompress_ref.agents import monitor_of, new_agent, preset, view_of
from adacompress_ref.cli.progress import Progress
from adacompress_ref.core.config import BaseConfig
from adacompress_ref.core.training import train
from adacompress_ref.survival.config import SurvivalConfig
from adacompress_ref.tables.environment import RecordedImage, split
from adacompress_ref.tables.evaluation import Measures, ratio_of_fixed
from adacompress_ref.tables.table import Table, TableError

from .. import tables, visits
from ..command import parser

FOLDS, DRAWS, ENOUGH = 5, 1000, 0.95  # ENOUGH: agreement that the ladder is to reach
ALPHAS, LADDER_ALPHAS = (1.0, 4.0), (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
UPLOADS = (10, 20, 30, 40, 50, 60, 80, 100, 150, 200, 400)
NEW_AGENTS, TEST_SHARE, NEAR = 20, 0.4, 0.005  # NEAR the best fixed level in reward: equal
PRESETS = ("tuned", "authors", "paper")
MEANS = ("agreement", "size_ratio", "reward")
COMPARED = ("reward_above_best_fixed", "gap_captured", "saving_vs_fixed")


class Problem:
    """A table as a config sees it: the N images that have labels, and its A actions."""

    def __init__(
        self, table: Table, config: BaseConfig, photographs: list[str] | None = None
    ) -> None:
        self.config, self.view = config, view_of(config)
        self.table = table.only(self.view.encodings)
        measures = Measures.of(self.table, self.view, config.alpha, config.beta)
        rows = np.flatnonzero(~np.isnan(measures.agreement[:, 0]))  # of the table, [N]
        self.rows, self.states = rows, self.view.of_table(self.table)[rows]
        self.both = np.stack([measures.agreement, measures.size_ratio])[:, rows]  # [2, N, A]
        names = np.array(photographs or table.images)[rows]
        self.photographs = np.unique(names, return_inverse=True)[1]  # [N], numbered
        self.open = np.isfinite(self.states[0, ..., -1] + np.zeros(self.both.shape[2]))  # [A]

    def reward(self, alpha: float) -> np.ndarray:
        """AC-3, [N, A]; minus infinity where the action cannot be taken."""
        return np.where(self.open, alpha * self.both[0] - self.both[1], -np.inf)

    def folds(self, seed: int) -> np.ndarray:
        """The fold of each image [N]; those of one photograph stay together."""
        order = np.random.default_rng(seed).permutation(int(self.photographs.max()) + 1)
        return (order % FOLDS)[self.photographs]

    def images(self, places: np.ndarray) -> list[RecordedImage]:
        return [RecordedImage(self.table, int(row), self.view) for row in self.rows[places]]


def policies(problem: Problem, seeds: int, alphas: tuple) -> dict[float, dict]:
    """Actions [tries, N] at each alpha: of agents, and of what they are compared with."""
    rewards = {alpha: problem.reward(alpha) for alpha in alphas}
    names, shape = (problem.config.preset, "best fixed"), (seeds, len(problem.rows))
    found = {alpha: {name: np.zeros(shape, np.int64) for name in names} for alpha in alphas}
    progress = Progress(f"{problem.table.source.service}, agents", seeds * FOLDS)
    for seed, fold in np.ndindex(seeds, FOLDS):
        is_known = problem.folds(seed) != fold
        known, held_out = np.flatnonzero(is_known), np.flatnonzero(~is_known)
        rng = np.random.default_rng([seed, fold])
        agent = tables.trained_agent(problem.config, problem.images(known), rng)
        for alpha, taken in found.items():
            agent.alpha = alpha  # trained once
            taken[names[0]][seed, held_out] = agent.predict(problem.states[held_out])[0]
            taken[names[1]][seed, held_out] = rewards[alpha][known].mean(axis=0).argmax()
        progress.advance()
    random = np.repeat(np.flatnonzero(problem.open)[:, None], shape[1], axis=1)  # all, in turn
    for alpha, taken in found.items():
        taken |= {"random": random, "oracle": rewards[alpha].argmax(axis=1)[None]}
    return found


def weights(photographs: np.ndarray) -> np.ndarray:
    """What each image counts, [1 + DRAWS, images]: as it is, then as photographs are drawn."""
    size = int(photographs.max()) + 1
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), size=DRAWS)
    counts = np.concatenate([np.ones((1, size)), drawn])[:, photographs]
    return counts / counts.sum(axis=1, keepdims=True)


def summary(values: np.ndarray) -> list[float | None]:
    """[1 + DRAWS] -> the value and the ends of its interval; None where there is none."""
    if np.isnan(values[0]):
        return [None, None, None]
    return [round(float(v), 5) for v in (values[0], *np.nanpercentile(values[1:], (2.5, 97.5)))]


def measured(problem: Problem, taken: dict, alpha: float) -> list[dict]:
    """A row for each policy."""
    drawn = weights(problem.photographs)
    both = problem.both
    mixed = np.moveaxis(drawn @ both[:, :, problem.open], 0, -1).round(9)  # [1 + DRAWS, A, 2]
    points = [list(map(tuple, pairs)) for pairs in mixed.tolist()]
    images = np.arange(len(problem.rows))
    means = {name: both[:, images, each].mean(axis=1) @ drawn.T for name, each in taken.items()}
    rewards = {name: alpha * kept - ratio for name, (kept, ratio) in means.items()}
    room = rewards["oracle"] - rewards["best fixed"]
    room[room <= 0] = np.nan
    rows = []
    for name, (kept, ratio) in means.items():
        above = rewards[name] - rewards["best fixed"]
        mixture = np.array(list(map(ratio_of_fixed, kept.round(9), points)))
        values = (kept, ratio, rewards[name], above, above / room, 1 - ratio / mixture)
        numbers = zip(MEANS + COMPARED, map(summary, values), strict=True)
        rows.append({"policy": name, "alpha": alpha, **dict(numbers)})
    return rows


def compared(scenery: str, problem: Problem, seeds: int, alphas: tuple) -> list[dict]:
    """Rows of an agent and of the policies that it is compared with."""
    about = {"service": problem.table.source.service, "scenery": scenery}
    taken = policies(problem, seeds, alphas)
    return [about | row for alpha in alphas for row in measured(problem, taken[alpha], alpha)]


def imagenet(service: str, options: argparse.Namespace) -> list[dict]:
    table, rows = tables.table(service, "imagenet", options.data), []
    for name in options.presets:
        config = preset(name)
        alphas = ALPHAS if isinstance(config, SurvivalConfig) else ALPHAS[:1]  # learned for one
        found = compared("imagenet", Problem(table, config), options.seeds, alphas)
        rows += [row for row in found if row["policy"] == name or name == options.presets[0]]
    return rows


def curve(problem: Problem, seed: int) -> list[float]:
    """Reward above the best fixed level of new agents that have learned from each of UPLOADS."""
    reward, rng = problem.reward(problem.config.alpha), np.random.default_rng([seed])
    known, held_out = split(len(reward), TEST_SHARE, rng)
    fixed = reward[held_out, reward[known].mean(axis=0).argmax()].mean()
    rewards = []
    for uploads in UPLOADS:
        agent = new_agent(problem.config.replace(training_steps=uploads), rng)
        agent.aim(problem.config.alpha, None)
        train(agent, monitor_of(agent), problem.images(known))
        actions = agent.predict(problem.states[held_out])[0]
        rewards.append(reward[held_out, actions].mean() - fixed)
    return rewards


def untrained(service: str, options: argparse.Namespace) -> list[dict]:
    table = tables.table(service, "imagenet", options.data)
    problem = Problem(table, preset("tuned"))
    curves = np.array([curve(problem, seed) for seed in range(NEW_AGENTS)])  # [agents, points]
    above = curves.mean(axis=0).round(5).tolist()
    equal = None  # the first point from which on it stays near
    for uploads, value in zip(UPLOADS, above, strict=True):
        equal = None if value < -NEAR else equal or uploads
    row = {"service": service, "equal_after": equal, "uploads": UPLOADS, "above_best_fixed": above}
    return [row | {"deviation": curves.std(axis=0).round(5).tolist()}]


def ladder(service: str, options: argparse.Namespace) -> list[dict]:
    """`reaches` marks the lowest alpha at which the agent agrees often enough."""
    table, config, rows = tables.table(service, "ladder", options.data), preset("ladder"), []
    names = tuple(name for name in config.encodings if name.startswith("jpeg"))
    jpeg = config.replace(encodings=names)
    for scenery, each in ("ladder, JPEG only", jpeg), ("ladder", config):
        found = compared(scenery, Problem(table, each), options.seeds, LADDER_ALPHAS)
        agent = [row for row in found if row["policy"] == config.preset]
        next((row for row in agent if row["agreement"][0] >= ENOUGH), {})["reaches"] = ENOUGH
        rows += found
    return rows


def day_and_night(service: str, options: argparse.Namespace) -> list[dict]:
    dark, light = (tables.table(service, each, options.data) for each in ("night", "imagenet"))
    stems = [Path(name).stem for name in dark.images]  # of the photographs
    light = Table.from_rows(
        light.source, [row for row in light.rows() if Path(row.image).stem in stems]
    )
    rows = [(Path(row.image).stem, row) for row in light.rows()]
    rows += list(zip(stems, dark.rows(), strict=True))
    rows.sort(key=lambda pair: pair[1].image)  # the order of `from_rows`
    both = Table.from_rows(dark.source, [row for _, row in rows])
    problem = Problem(both, preset("tuned"), [stem for stem, _ in rows])
    return compared("day and night", problem, options.seeds, ALPHAS[:1])


def line(row: dict) -> str:
    if "uploads" in row:
        text = ", ".join(map("{}: {:+.3f}".format, row["uploads"], row["above_best_fixed"]))
        return f"{row['service']:<19}best fixed equalled after {row['equal_after']} uploads; {text}"
    text = f"{row['service']:<19}{row['scenery']:<18}{row['policy']:<11}{row['alpha']:<4g}"
    text += "".join(f"{row[key][0]:8.3f}" for key in MEANS)
    for value, low, high in (row[key] for key in COMPARED):
        text += " " * 26 if value is None else f"{value:+9.3f} ({low:+.3f}, {high:+.3f})"
    return text + ("  agrees enough" if "reaches" in row else "")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: done; 1: something is missing, the rest is measured."""
    command = parser("bench.paper.adaptivity", __doc__, data=True)
    command.add_argument("--service", nargs="+", choices=tables.SERVICES, default=tables.SERVICES)
    command.add_argument("--presets", nargs="+", choices=PRESETS, default=PRESETS[:1])
    command.add_argument("--seeds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    options = command.parse_args(arguments)
    sections = (imagenet, untrained, ladder, day_and_night)
    status, report = 0, {measure.__name__: [] for measure in sections}
    for measure in sections:
        known = visits.SERVICES if measure in (ladder, day_and_night) else tables.SERVICES
        for service in [each for each in options.service if each in known]:
            try:
                report[measure.__name__] += measure(service, options)
            except (tables.Missing, TableError) as error:
                print(error, file=sys.stderr)
                status = 1
    if options.json:
        print(json.dumps({"seeds": options.seeds, "draws": DRAWS, **report}))
        return status
    print(f"{'service':<19}{'scenery':<18}{'policy':<11}alpha  agree   ratio  reward", end="")
    print("   above best fixed          gap captured              saving vs fixed")
    for row in [row for rows in report.values() for row in rows]:
        if "reaches" in row or row.get("alpha", 1) in (1, 2, 4):
            print(line(row))
    return status


if __name__ == "__main__":
    sys.exit(main())
