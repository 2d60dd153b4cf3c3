"""The running system over streams whose scenery or service changes, presets side by side.

`python -m bench.scenery [--data DIR] [--service NAME ...] [--preset NAME ...] [--stream NAME ...]
[--agreement P] [--seeds 3] [--start others|same|untrained] [--json] [--figure FILE]`

A step of a stream is one visit of `bench.visits`. The agent that starts it was trained on one half
of the photographs, the stream shows the other. `tuned` and `ladder` start from day and night,
labelled by the services other than the one they are to serve (`--start`), as they are and with
labels of score .1 and .3 and above alone, as the shipped agents; `paper` and `authors` as
published, from day and the service itself. With `--agreement` the first two aim at it, else their
alpha is held. `ideal`: the bytes of the cheapest mixture of two fixed levels that reaches the same
agreement on the same visits, in hindsight and without references.

In `renewed` the service becomes another version of itself, as one did between 2019 and 2020, which
kept .82 to .89 of the best labels of the same bytes: of three photographs in twenty all answers are
the other service's.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from adacompress_ref import agents
from adacompress_ref.core.config import BaseConfig
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.training import passes
from adacompress_ref.storage.files import ImageError
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.evaluation import Measures
from adacompress_ref.tables.table import Table

from . import night, visits
from .alternatives import ideal
from .command import parser
from .paper.figures.sceneries import STATES, Part, Trace, draw, lines, measures
from .tables import Missing, trained_agent

SERVICES = visits.SERVICES
PRESETS = tuple(agents.presets())
ALPHAS = {"tuned": 2.5, "ladder": 3.0}  # of the project's own presets, which adapt at the start
LEAST_SCORES = 0.0, 0.1, 0.3  # of the labels that these learn from


def _there_and_back(scenery: str, other: float = 0) -> tuple[Part, ...]:
    return Part(("day",), 2000), Part((scenery,), 1500, other), Part(("day",), 2000)


STREAMS = {
    "night": _there_and_back("night"),
    "lowlight": _there_and_back("lowlight"),
    "mixed": (Part(("day", "night"), 5500),),
    "service": _there_and_back("day", other=1),
    "renewed": _there_and_back("day", other=0.15),
    "still": (Part(("day",), 10000),),
}


class Pool:
    """All visits to a scenery as a config sees them, labelled by one service."""

    def __init__(self, table: Table, config: BaseConfig) -> None:
        view = agents.view_of(config)
        self.states = view.of_table(table)  # [N, ...]
        self.visits = [RecordedImage(table, row, view) for row in range(len(table.images))]
        # [N, A]; NaN: nothing to keep
        self.kept = Measures.of(table, view, config.alpha, config.beta).agreement

    def agreement(self, agent: Any, rows: np.ndarray) -> float:
        """What the agent keeps of some visits if it does not explore."""
        chosen = agent.q_values(self.states[rows]).argmax(axis=-1)
        return float(np.nanmean(self.kept[rows, chosen]))


def configured(name: str, alphas: dict[str, float]) -> BaseConfig:
    """The preset; of `ladder` the WebP rungs alone, as visits hold no others of it."""
    config: BaseConfig = agents.preset(name)
    if name == "ladder":
        config = config.replace(encodings=tuple(encoding.name for encoding in visits.WEBP))
    return config.replace(alpha=alphas[name]) if name in alphas else config


def halves(names: np.ndarray, seed: int) -> set[str]:
    """The half of the photographs that the starting agent may see."""
    photographs = sorted({str(name) for name in names})
    order = night.generator(seed, "halves").permutation(len(photographs))
    return {photographs[place] for place in order[: len(photographs) // 2]}


class Bench:
    """Pools and starting agents, each made once."""

    def __init__(
        self, data: Path, start: str, alphas: dict[str, float], goal: float | None = None
    ) -> None:
        self.start, self.goal = start, goal
        self.configs = {name: configured(name, alphas) for name in PRESETS}
        self.raw = {scenery: visits.collect(scenery, data) for scenery in visits.SCENERIES}
        self.pools: dict[tuple, Pool] = {}
        self.kept = tempfile.TemporaryDirectory()  # of trained agents

    def pool(
        self, scenery: str, service: str, name: str, other: float = 0, least: float = 0
    ) -> Pool:
        """Of a service, of which so many photographs have the other one's answers.

        `least`: the score below which it says no label.
        """
        config = self.configs[name]
        key = scenery, service, name, other, least
        if key not in self.pools:
            encodings, raw = agents.view_of(config).encodings, self.raw[scenery]
            own, foreign = (
                visits.table(raw, each, encodings)
                for each in sorted(SERVICES, key=lambda each: each != service)
            )
            photographs, place = np.unique(raw["photograph"], return_inverse=True)
            changed = (night.generator(0, "renewed").random(len(photographs)) < other)[place]
            labels = np.where(changed[:, None, None], foreign.labels, own.labels)
            scores = np.where(changed[:, None, None], foreign.scores, own.scores)
            table = replace(own, labels=labels, scores=scores).answered(least)
            self.pools[key] = Pool(table, config)
        return self.pools[key]

    def rows(self, scenery: str, seed: int, trained: bool) -> np.ndarray:
        """Visits of the half that is trained on, or of the half that is streamed."""
        folder = visits.SCENERIES[scenery][0]
        same = [self.raw[each] for each, (of, _) in visits.SCENERIES.items() if of == folder]
        half = halves(np.concatenate([each["photograph"] for each in same]), seed)
        inside = np.array([name in half for name in self.raw[scenery]["photograph"].tolist()])
        return np.flatnonzero(inside == trained)

    def agent(
        self, name: str, service: str, seed: int, rng: np.random.Generator
    ) -> tuple[Any, bool]:
        """The agent that starts all streams of a service, saved and loaded; whether it is trained.

        The generator is what it goes on with.
        """
        config = self.configs[name]
        adapts = self.adapts_at_start(name)
        if adapts and self.start == "untrained":
            return agents.new_agent(config, rng), False
        path = Path(self.kept.name, f"{name}-{service}-{seed}.npz")
        if not path.exists():
            sceneries = ("day", "night") if name in ALPHAS else ("day",)
            images = [
                self.pool(scenery, teacher, name, least=least).visits[row]
                for scenery in sceneries
                for teacher in SERVICES
                if (teacher != service) == adapts
                for least in (LEAST_SCORES if name in ALPHAS else (0.0,))
                for row in self.rows(scenery, seed, trained=True)
            ]
            agents.save(trained_agent(config, images, np.random.default_rng(seed)), path)
        return agents.load(path, rng), True

    def adapts_at_start(self, name: str) -> bool:
        """Whether the stream begins with labels that the agent has not been trained on."""
        return name in ALPHAS and self.start != "same"


def in_hindsight(kept: np.ndarray, sizes: np.ndarray, agreement: float) -> float:
    """What the cheapest mixture of fixed levels sends, over always the reference.

    kept [L, A], NaN where there is nothing to keep; sizes [L, A + 1]. The reference keeps all.
    """
    kept = np.column_stack([np.nan_to_num(kept, nan=1.0), np.ones(len(kept))])
    sizes = np.minimum(sizes, sizes[:, -1:])
    return float(ideal(kept[None], sizes[None], sizes[None, :, -1], agreement).net[0])


def stream(bench: Bench, name: str, stream_name: str, service: str, seed: int) -> dict[str, Any]:
    """One run: measures, and the trace under "trace"."""
    config, parts = bench.configs[name], STREAMS[stream_name]
    chance = night.generator(seed, "stream", stream_name)  # the same stream for every preset
    own = np.random.default_rng([seed, list(STREAMS).index(stream_name)])
    agent, trained = bench.agent(name, service, seed, own)
    if agent.aim:
        agent.aim(None if bench.goal else config.alpha, bench.goal)
    controller = Controller(agent, agents.monitor_of(agent), trained)
    every = sorted({scenery for part in parts for scenery in part.sceneries})
    rows = {scenery: bench.rows(scenery, seed, trained=False) for scenery in every}
    order = {scenery: passes(rows[scenery].tolist(), chance) for scenery in every}
    columns: list[list[float]] = [[] for _ in Trace._fields]
    losses: list[float] = []  # agreement that each change costs the policy before it
    here: list[tuple[Pool, np.ndarray]] = []
    levels: list[tuple[np.ndarray, np.ndarray]] = []  # what each would have kept, and sent
    for part in parts:
        pools = {
            scenery: bench.pool(scenery, service, name, part.other) for scenery in part.sceneries
        }
        before, here = here, [(pools[scenery], rows[scenery]) for scenery in part.sceneries]
        if before:
            old, new = (
                np.mean([pool.agreement(agent, of) for pool, of in each]) for each in (before, here)
            )
            losses.append(float(old - new))
        for _ in range(part.steps):
            scenery = part.sceneries[int(chance.integers(len(part.sceneries)))]
            row: Any = next(order[scenery])
            pool = pools[scenery]
            visit = pool.visits[row]
            step = controller.step(visit)
            levels.append((pool.kept[row], visit.sizes))
            known = pool.kept[row, step.action]
            delivered = known if step.reference is None or np.isnan(known) else 1.0
            reference = int(visit.table.bytes[row, -1])
            entry = STATES.index(step.state), step.bytes_sent, reference, delivered, step.p_est
            for column, value in zip(columns, entry, strict=True):
                column.append(value)
    trace = Trace(*(np.array(column) for column in columns))
    found = measures(trace, parts, losses, config.p_max, bench.adapts_at_start(name))
    kept, sizes = (np.array(each) for each in zip(*levels, strict=True))
    return {
        **{"stream": stream_name, "preset": name, "service": service, "seed": seed},
        **found,
        "ideal": in_hindsight(kept, sizes, found["agreement"]),
        "trace": trace,
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2: something is missing."""
    command = parser("bench.scenery", __doc__, data=True)
    command.add_argument("--service", nargs="+", choices=SERVICES, default=SERVICES)
    command.add_argument("--preset", nargs="+", choices=PRESETS, default=PRESETS)
    command.add_argument("--stream", nargs="+", choices=STREAMS, default=tuple(STREAMS))
    command.add_argument("--seeds", type=int, default=3)
    command.add_argument("--start", choices=("others", "same", "untrained"), default="others")
    for name, alpha in ALPHAS.items():
        command.add_argument(
            f"--alpha-{name}", type=float, default=alpha, help=f"default {alpha:g}"
        )
    command.add_argument("--agreement", type=float, help="in place of alphas")
    command.add_argument("--figure", type=Path, help="PNG of the first stream and service named")
    options = command.parse_args(arguments)
    alphas = {name: getattr(options, f"alpha_{name}") for name in ALPHAS}
    if options.seeds < 1 or min(alphas.values()) <= 0:
        command.error("--seeds and alphas must be above 0")
    plt = None
    if options.figure:
        from .paper.reproduce import pyplot

        plt = pyplot()
        if plt is None:
            command.error("--figure needs matplotlib (extra plot)")
    try:
        bench = Bench(options.data, options.start, alphas, options.agreement)
        runs = []
        for name, service in product(options.stream, options.service):
            these = [
                stream(bench, each, name, service, seed)
                for each, seed in product(options.preset, range(options.seeds))
            ]
            if not options.json:
                print("\n".join(lines(these)), flush=True)
            if plt is not None and not runs:
                firsts = [run for run in these if run["seed"] == 0]
                picture = draw(firsts, STREAMS[name], plt)
                picture.savefig(options.figure, dpi=150, metadata={"Software": None})
            runs += [{key: run[key] for key in run if key != "trace"} for run in these]
    except (Missing, ImageError, OSError, ValueError) as error:
        print(f"bench.scenery: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"start": options.start, "alphas": alphas, "runs": runs}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
