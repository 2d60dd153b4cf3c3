"""A row of `bench.streams`: a rule beside the alternatives, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from .alternatives import IDEAL, Curve, Paths, Rungs, curves, over

RESAMPLES = 200  # of photographs
DRAWS = 1000  # of streams, for an interval
COMPARED = {
    "calibrate-50": "over_calibrate_50",
    "calibrate-100": "over_calibrate_100",
    IDEAL: "over_ideal",
}


def columns(values: dict[str, np.ndarray], goal: float) -> dict[str, np.ndarray]:
    """Columns of a row, of per-stream values [..., S]."""
    choice, client = values["choice"], values["client"]
    shown = {
        "choice": choice,
        "client": client,
        "reached": client >= goal - 1e-9,
        "missed_by_05": choice < goal - 0.05 - 1e-9,
        "references": values["references"],
        "net": values["net"],
        **{name: values[name] for name in COMPARED.values()},
        "wins_100": values["over_calibrate_100"] < 0,
    }
    means = {name: np.mean(column, axis=-1) for name, column in shown.items()}
    means["choice_sd"] = np.std(choice, axis=-1, ddof=1)
    return means


def compared(rule: str, paths: Paths, against: dict[str, Curve], goal: float) -> dict[str, Any]:
    """Means of S streams, with their intervals."""
    values = paths._asdict()
    values |= {name: over(paths.client, paths.net, against[of]) for of, name in COMPARED.items()}
    streams = len(paths.net)
    picks = np.random.default_rng(0).integers(streams, size=(DRAWS, streams))
    draws = columns({name: column[picks] for name, column in values.items()}, goal)
    means = columns(values, goal)
    return {
        "rule": rule,
        **{name: float(mean) for name, mean in means.items()},
        "intervals": {name: _interval(draws[name]) for name in means},
        "spread": {name: _interval(values[name]) for name in COMPARED.values()},
    }


def _interval(values: np.ndarray) -> list[float]:
    return np.percentile(values, (2.5, 97.5)).tolist()


class Resampled:
    """Streams whose photographs are drawn anew, and what the alternatives come to on them."""

    def __init__(self, rungs: Rungs, length: int) -> None:
        rng, images = np.random.default_rng(1), len(rungs.reference)
        self.rungs = rungs
        again = rng.integers(images, size=(RESAMPLES, images))
        places = rng.integers(images, size=(RESAMPLES, length))
        self.rows = np.take_along_axis(again, places, axis=1)  # [RESAMPLES, L]
        self.curves = curves(rungs, self.rows)

    def intervals(
        self, rows: np.ndarray, client: np.ndarray, sent: np.ndarray, means: dict[str, Any]
    ) -> dict[str, list[float]]:
        """Of the agent's over_X, of what it did with the images of its streams, each [S, L]."""
        images = len(self.rungs.reference)
        visits = np.bincount(rows.ravel(), minlength=images)
        photograph = [
            np.bincount(rows.ravel(), values.ravel(), images) / np.maximum(visits, 1)
            for values in (client, sent / self.rungs.reference[rows])
        ]  # [2, N]; by ratio, so that one never visited can stand for the mean of all
        clients, ratios = (np.where(visits, of, of[visits > 0].mean()) for of in photograph)
        references = self.rungs.reference[self.rows]
        net = (ratios[self.rows] * references).sum(axis=1) / references.sum(axis=1)
        bounds = {}
        for of, name in COMPARED.items():
            values = over(clients[self.rows].mean(axis=1), net, self.curves[of])
            bounds[name] = _interval(values - values.mean() + means[name])
        return bounds


def line(shown: dict[str, Any]) -> str:
    """A row to read."""
    compared = "  ".join(
        f"{shown[name]:+6.1%} ({', '.join(f'{end:+.0%}' for end in shown['intervals'][name])})"
        for name in COMPARED.values()
    )
    return (
        f"{shown['service']:<20.20} {shown['preset']:<7} {shown['agreement']:.2f} "
        f"{shown['rule']:<14} {shown['choice']:.3f} {shown['choice_sd']:.3f} {shown['client']:.3f} "
        f"{shown['reached']:7.0%} {shown['missed_by_05']:6.0%} {shown['references']:5.1f} "
        f"{shown['net']:.3f}  {compared}  {shown['wins_100']:4.0%}"
    )


HEAD = (
    f"{'service':<20} {'preset':<7} {'T':<4} {'rule':<14} choice    sd client reached missed  refs"
    "   net  over calibrate-50, calibrate-100, ideal mixture (95% over streams)  wins"
)
