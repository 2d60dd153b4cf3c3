"""What needs no agent, on streams of images: to calibrate once, and the ideal fixed mixture.

`bench.streams` says what each of them is, and how the product is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.tables.evaluation import ratio_of_fixed
from adacompress_ref.tables.table import Table

GOALS = np.arange(70, 101) / 100  # T', at which they run
CALIBRATED_ON = (50, 100)  # images
IDEAL = "ideal mixture"
ORDERS = 16  # of a stream, for what calibration comes to on average


class Rungs(NamedTuple):
    """R fixed rungs on N photographs, the cheapest first; the last, quality 75, keeps all."""

    kept: np.ndarray  # [N, R] bool
    sizes: np.ndarray  # [N, R] bytes
    reference: np.ndarray  # [N] bytes

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of streams of photographs [S, L]."""
        return self.kept[rows], self.sizes[rows], self.reference[rows]


def survives(table: Table, sizes: np.ndarray) -> np.ndarray:
    """Whether the reference's best label is kept, [N, A + 1]; what is larger is not sent."""
    kept = (table.labels == table.labels[:, -1:, :1]).any(axis=2)
    return kept | (sizes > sizes[:, -1:])


def fixed_rungs(table: Table, view: Any, sizes: np.ndarray) -> Rungs:
    """Those of the table that the view's encoder makes, up to quality 75; sizes [N, A + 1]."""
    encodings = table.source.encodings
    may_send = view.open_actions({encoding.format for encoding in encodings})  # [actions]
    kinds = {kind(view.encodings[action]) for action in may_send.nonzero()[0]}
    columns = [
        column
        for column in sizes[:, :-1].mean(axis=0).argsort(kind="stable").tolist()
        if kind(encodings[column]) in kinds and not is_as_good(encodings[column])
    ]
    columns.append(encodings.index(REFERENCE) if REFERENCE in encodings else len(encodings))
    kept = survives(table, sizes)[:, columns]
    kept[:, -1] = True  # the same pixels
    return Rungs(kept, np.minimum(sizes, sizes[:, -1:])[:, columns], sizes[:, -1])


def kind(encoding: Encoding) -> tuple[str, int | None]:
    """What encodings have in common of which one encoder makes all qualities."""
    return encoding.format, encoding.short_side


def is_as_good(encoding: Encoding) -> bool:
    """Whether nothing is saved on it: quality 75 itself, and what is above."""
    return kind(encoding) == kind(REFERENCE) and encoding.quality >= REFERENCE.quality


class Paths(NamedTuple):
    """What became of S streams; [S] where it is said of a whole stream."""

    choice: np.ndarray  # agreement of what was chosen
    client: np.ndarray  # of what the client got
    net: np.ndarray  # bytes over those of always the reference
    references: np.ndarray


class Curve(NamedTuple):
    """Client agreement and net of an alternative over GOALS, and at last of always quality 75."""

    client: np.ndarray  # [S, goals + 1]
    net: np.ndarray  # [S, goals + 1]


def calibrate(
    kept: np.ndarray,
    sizes: np.ndarray,
    reference: np.ndarray,
    goals: Sequence[float],
    count: int,
) -> list[Paths]:
    """Calibrate on the first `count` images of S streams, then stay with one rung, for each goal.

    kept (bool) and sizes [S, L, R]: rungs from the cheapest to quality 75, which keeps all and is
    not tried; reference [S, L], its bytes.
    """
    streams, length, rungs = kept.shape
    lost = np.cumsum(~kept[:, :count], axis=1)  # [S, count, R]
    spent = np.cumsum(sizes[:, :count], axis=1)
    choice = kept.mean(axis=1)  # [S, R]
    client = 1 - (~kept[:, count:]).sum(axis=1) / length
    later = sizes[:, count:].sum(axis=1)  # bytes
    paths = []
    for goal in goals:
        too_many = lost > (1 - goal) * count + 1e-9
        dropped = too_many[:, -1]  # [S, R]
        last = np.where(dropped, too_many.argmax(axis=1), count - 1)  # the last image tried
        trials = np.take_along_axis(spent, last[:, None], axis=1)[:, 0]  # [S, R]
        rung = dropped.argmin(axis=1)  # [S], the cheapest that is left
        tried = (np.arange(rungs) <= rung[:, None]) & (np.arange(rungs) < rungs - 1)
        total = reference[:, :count].sum(axis=1) + (trials * tried).sum(axis=1)
        chosen = np.arange(streams), rung
        net = (total + later[chosen]) / reference.sum(axis=1)
        paths.append(Paths(choice[chosen], client[chosen], net, np.full(streams, count)))
    return paths


def ideal(kept: np.ndarray, sizes: np.ndarray, reference: np.ndarray, goal: float) -> Paths:
    """The cheapest mixture of two rungs that reaches the goal, in hindsight; arrays as above."""
    shares = kept.mean(axis=1)  # [S, R]
    nets = sizes.sum(axis=1) / reference.sum(axis=1)[:, None]
    pairs = [list(map(tuple, each)) for each in np.stack([shares, nets], axis=2).tolist()]
    net = np.array([ratio_of_fixed(goal, of_stream) for of_stream in pairs])
    # one rung alone, where it does more for less
    cheapest = shares[np.arange(len(kept)), nets.argmin(axis=1)]
    reached = np.maximum(cheapest, goal)
    return Paths(reached, reached, net, np.zeros(len(kept)))


def alternatives(rungs: Rungs, rows: np.ndarray, goal: float) -> dict[str, Paths]:
    """Every rule but the agent's on streams [S, L], by name."""
    arrays = rungs.of(rows)
    rules = {f"calibrate-{count}": calibrate(*arrays, [goal], count)[0] for count in CALIBRATED_ON}
    return rules | {IDEAL: ideal(*arrays, goal)}


def curves(rungs: Rungs, rows: np.ndarray) -> dict[str, Curve]:
    """What the alternatives come to at all GOALS on streams [S, L]: means over ORDERS."""
    rng = np.random.default_rng(0)
    kept, sizes, reference = rungs.of(rows)
    always = sizes[..., -1].sum(axis=1) / reference.sum(axis=1)  # [S], quality 75
    points: dict[str, Any] = {f"calibrate-{count}": 0 for count in CALIBRATED_ON}
    for _ in range(ORDERS):
        arrays = rungs.of(rng.permuted(rows, axis=1))
        for count in CALIBRATED_ON:
            runs = calibrate(*arrays, GOALS.tolist(), count)
            both = [[each.client for each in runs], [each.net for each in runs]]
            points[f"calibrate-{count}"] += np.array(both) / ORDERS  # [2, goals, S]
    nets = [ideal(kept, sizes, reference, goal).net for goal in GOALS]
    points[IDEAL] = np.array([np.repeat(GOALS[:, None], len(rows), axis=1), nets])
    end = np.stack([np.ones(len(rows)), always])[:, None]  # [2, 1, S]
    whole = {name: np.concatenate([both, end], axis=1) for name, both in points.items()}
    return {name: Curve(both[0].T, both[1].T) for name, both in whole.items()}


def over(client: np.ndarray, net: np.ndarray, curve: Curve) -> np.ndarray:
    """net [S] over the alternative's at the same client agreement [S], less 1."""
    order = curve.client.argsort(axis=1, kind="stable")
    clients = np.take_along_axis(curve.client, order, axis=1)
    nets = np.take_along_axis(curve.net, order, axis=1)
    rivals = map(np.interp, client, clients, nets)
    return net / np.array(list(rivals)) - 1
