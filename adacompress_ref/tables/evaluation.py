"""Policies side by side on a table: fixed levels, random, agent, oracle."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..agents import check_fits, view_of
from ..core.roles import Agent
from ..imaging.encoding import REFERENCE, Encoding
from ..views import View
from .table import Table, TableError

MEASURED = ("agreement", "size_ratio", "reward")  # of each policy
DRAWS = 1000  # of images, for an interval


@dataclass(frozen=True)
class Measures:
    """What reports speak of, for N images and A encodings; agreement is NaN without labels."""

    agreement: np.ndarray  # [N, A]; AC-1 with K = 1
    size_ratio: np.ndarray  # [N, A]; AC-2
    alpha: float
    beta: float

    @classmethod
    def of(cls, table: Table, view: View, alpha: float, beta: float) -> Measures:
        """Of every image of a table."""
        best = table.labels[:, -1, 0]  # [N], the reference's best label
        kept = (table.labels[:, :-1] == best[:, None, None]).any(axis=2)  # [N, A]
        agreement = np.where((best == "")[:, None], np.nan, kept)
        ratios = table.size_ratios(view.own_tables)
        if view.probe:  # the reference is sent where an encoding is larger
            agreement = np.where((ratios > 1) & ~np.isnan(agreement), 1.0, agreement)
            ratios = np.minimum(ratios, 1)
        return cls(agreement, ratios, alpha, beta)

    def take(self, rows: np.ndarray) -> Measures:
        """Of some images, those whose reference has a label."""
        rows = rows[~np.isnan(self.agreement[rows, 0])]
        return Measures(self.agreement[rows], self.size_ratio[rows], self.alpha, self.beta)

    @property
    def reward(self) -> np.ndarray:
        """AC-3, [N, A]."""
        return self.alpha * self.agreement - self.size_ratio + self.beta

    def policy(self, name: str, actions: np.ndarray | int) -> dict[str, Any]:
        """The means of a policy that takes `actions` [N], or always the same one."""
        rows = np.arange(len(self.agreement))
        return _means(name, np.stack([measure[rows, actions] for measure in self._measured()]))

    def oracle(self) -> dict[str, Any]:
        """The means of the best action for each image, known afterwards."""
        return self.policy("oracle", self.reward.argmax(axis=1))

    def random(self) -> dict[str, Any]:
        """What uniformly random actions come to in expectation."""
        return _means("random", self._measured().mean(axis=2))

    def _measured(self) -> np.ndarray:  # [3, N, A]
        return np.stack([getattr(self, name) for name in MEASURED])


def _means(name: str, values: np.ndarray) -> dict[str, Any]:
    """Means of agreement, size ratio and reward, values [3, N], and their 95% intervals.

    Those are by percentile bootstrap over images, the same draws at each call.
    """
    rng, images = np.random.default_rng(0), values.shape[1]
    draws = [values[:, rng.integers(images, size=images)].mean(axis=1) for _ in range(DRAWS)]
    bounds = np.percentile(draws, (2.5, 97.5), axis=0).T.tolist()  # [3, 2]
    means = dict(zip(MEASURED, values.mean(axis=1).tolist(), strict=True))
    intervals = dict(zip(MEASURED, bounds, strict=True))
    return {"name": name, **means, "images": images, "intervals": intervals}


def fixed_name(encoding: Encoding) -> str:
    """`fixed-15` for the paper's levels, `fixed-webp-224-q55` for others."""
    if encoding.format == "jpeg" and encoding.short_side is None:
        return f"fixed-{encoding.quality}"
    return f"fixed-{encoding.name}"


def ratio_of_fixed(agreement: float, points: list[tuple[float, float]]) -> float:
    """The smallest size ratio of a mixture of two fixed levels that reaches `agreement`.

    `points` are (agreement, size ratio) of the fixed levels; the reference's (1, 1) is added.
    """
    points = [*points, (1.0, 1.0)]
    best = min(ratio for kept, ratio in points if kept >= agreement)
    for (low, low_ratio), (high, high_ratio) in combinations(sorted(points), 2):
        if low < agreement <= high:
            share = (agreement - low) / (high - low)
            best = min(best, low_ratio + share * (high_ratio - low_ratio))
    return best


def evaluate(
    table: Table, agent: Agent, rows: np.ndarray | None = None, alpha: float = 1.0
) -> dict[str, Any]:
    """The report of `adacompress evaluate` on the images `rows`, by default all not trained on.

    What depends on the agent is measured on images that it was not trained on alone. The best
    fixed level is chosen on those that it was, if the table holds any. Raises AgentError or
    TableError where the two do not fit, or where no image is left.
    """
    view = view_of(agent.config)
    encodings, own_levels = table.source.encodings, table.only(view.encodings)
    check_fits(agent, view.stamp(table.source.extractor))
    measures = Measures.of(table, view, alpha, agent.config.beta)
    trained = np.isin(table.digests, agent.stamp.get("trained_on", []))  # [N]
    rows = np.flatnonzero(~trained) if rows is None else rows
    tested = rows[~trained[rows]]
    shown, held_out = measures.take(rows), measures.take(tested)
    if not len(held_out.agreement):
        raise TableError(
            "no image with labels is left to test on that the agent was not trained on"
        )

    states = view.of_table(own_levels)[tested]
    states = states[~np.isnan(measures.agreement[tested, 0])]
    own, agent.alpha = agent.alpha, alpha
    columns = np.array([encodings.index(encoding) for encoding in view.encodings])
    chosen = held_out.policy("agent", columns[agent.q_values(states).argmax(axis=1)])
    agent.alpha = own
    names = [fixed_name(encoding) for encoding in encodings]
    policies = [shown.policy(name, action) for action, name in enumerate(names)]
    policies += [shown.random(), chosen, shown.oracle()]

    known = measures.take(np.flatnonzero(trained))
    best_fixed = int((known if len(known.agreement) else held_out).reward.mean(axis=0).argmax())
    fixed = float(held_out.reward[:, best_fixed].mean())
    room = held_out.oracle()["reward"] - fixed
    means = zip(held_out.agreement.mean(axis=0), held_out.size_ratio.mean(axis=0), strict=True)
    points = [
        (float(agreement), float(ratio))
        for encoding, (agreement, ratio) in zip(encodings, means, strict=True)
        if encoding.short_side or encoding.format != "jpeg" or encoding.quality <= REFERENCE.quality
    ]
    saving = 1 - chosen["size_ratio"] / ratio_of_fixed(chosen["agreement"], points)
    return {
        "images": len(rows),
        "unlabelled": len(rows) - len(shown.agreement),
        "service": table.source.service,
        "alpha": alpha,
        "huffman_tables": "own" if view.own_tables else "standard",
        "preset": agent.config.preset,
        "policies": policies,
        "best_fixed": names[best_fixed],
        "best_fixed_chosen_on": "training images" if len(known.agreement) else "tested images",
        "gap_captured": float((chosen["reward"] - fixed) / room) if room > 0 else None,
        "saving_vs_fixed": float(saving),
    }
