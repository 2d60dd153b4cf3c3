"""What needs no agent, at the agreement of one: fixed levels mixed in hindsight, and calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..agents import view_of
from ..core.roles import Agent
from ..imaging.encoding import REFERENCE
from ..tables.evaluation import MEASURED, Measures, ratio_of_fixed
from ..tables.table import Table

STREAMS, STREAM_IMAGES = 200, 1000
CALIBRATED_ON = (50, 100)  # images of each


def calibrate(kept: np.ndarray, ratios: np.ndarray, goal: float, count: int) -> tuple[float, float]:
    """Agreement and net size ratio of a client that calibrates on `count` images of a stream.

    kept and ratios [images, levels], from the cheapest to quality 75, which needs no trial. Levels
    are tried in this order, and dropped as soon as they have lost more than (1 - goal) of `count`
    labels; the first that is not is sent from then on. The references before are paid for.
    """
    spent, level = float(count), 0
    while level < kept.shape[1] - 1:
        lost = np.cumsum(~kept[:count, level])
        within = int((lost <= (1 - goal) * count + 1e-9).sum())
        spent += ratios[: within + 1, level][:count].sum()  # the last upload is one too many
        if within == count:
            break
        level += 1
    client = 1 - (~kept[count:, level]).sum() / len(kept)
    return float(client), float((spent + ratios[count:, level].sum()) / len(kept))


def alternatives(
    table: Table, agent: Agent, rows: np.ndarray | None, report: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows beside those of `evaluate`'s report on these rows of a table, for the agent's agreement.

    Means and 95% of streams, whose images are drawn from resampled ones.
    """
    measures = Measures.of(table, view_of(agent.config), report["alpha"], agent.config.beta)
    new = ~np.isin(table.digests, agent.stamp.get("trained_on", []))  # [N]
    measures = measures.take(np.flatnonzero(new) if rows is None else rows[new[rows]])
    agreement = next(row["agreement"] for row in report["policies"] if row["name"] == "agent")
    encodings = table.source.encodings
    columns = [
        column
        for column in measures.size_ratio.mean(axis=0).argsort(kind="stable").tolist()
        for each in (encodings[column],)
        if each.short_side or each.format != "jpeg" or each.quality < REFERENCE.quality
    ]
    whole = np.ones(len(measures.agreement))
    last = whole  # quality 75 itself
    if REFERENCE in encodings:
        last = measures.size_ratio[:, encodings.index(REFERENCE)]
    kept = np.column_stack([measures.agreement[:, columns], whole]) > 0
    ratios = np.column_stack([measures.size_ratio[:, columns], last])
    rng, images, draws = np.random.default_rng(0), len(kept), []
    for _ in range(STREAMS):
        rows = rng.choice(rng.integers(images, size=images), STREAM_IMAGES)
        points = list(zip(kept[rows].mean(axis=0), ratios[rows].mean(axis=0), strict=True))
        calibrated = [calibrate(kept[rows], ratios[rows], agreement, n) for n in CALIBRATED_ON]
        draws.append([(agreement, ratio_of_fixed(agreement, points)), *calibrated])
    both = np.array(draws)  # [streams, rules, 2]
    reward = measures.alpha * both[..., 0] - both[..., 1] + measures.beta
    results = np.concatenate([both, reward[..., None]], axis=2)
    means, bounds = results.mean(axis=0), np.percentile(results, (2.5, 97.5), axis=0)
    return [
        {
            **{"name": name, "images": images},
            **dict(zip(MEASURED, means[rule].tolist(), strict=True)),
            "intervals": dict(zip(MEASURED, bounds[:, rule].T.tolist(), strict=True)),
        }
        for rule, name in enumerate(["mixture", *(f"calibrate-{n}" for n in CALIBRATED_ON)])
    ]
