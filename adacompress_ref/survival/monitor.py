"""Noticing that scenery or service has changed, with few reference uploads. NumPy alone.

`Estimator` is the paper's way: windowed means and p_est (AC-7, AC-8). `Watch` is that of presets
`tuned`, `fast` and `ladder`, by two tests that follow one another. The first is free: states and
scores of all uploads are at hand, and where their latest mean has moved, something is different.
That alone is no reason to learn again, but it is one to measure: `suspicious` asks for references.
The second is sequential: how many more labels were lost than P(labels survive) allows? A few
losses beyond chance end in retraining.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from ..core import equations
from ..core.config import Config

RECENT = 60  # images whose mean is compared with that of the images before
BEFORE = 100  # images, at least, that they are compared with
SUSPECT_AT = 0.7  # of the surprise that ends in retraining


class Estimator:
    """What estimates say: windowed means (AC-7) and the probability of the next one (AC-8).

    It forgets everything when a retraining ends (`reset`).
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Start with empty windows and p_0."""
        self.earliest: list[float] = []  # the first n accuracies
        self.accuracies: deque[float] = deque(maxlen=self.config.window)  # the latest n
        self.rewards: deque[float] = deque(maxlen=self.config.window)
        self.recorded = 0  # windowed means so far
        self.mean_accuracy = self.previous_mean = self.mean_reward = float("nan")
        self.p_est = self.config.p_0

    def record(self, accuracy: float, reward: float) -> None:
        """Add one measurement and record the windowed means, before or after it (AC-7)."""
        self.previous_mean = self.mean_accuracy
        if not self.config.window_includes_current:
            self._take_means()
        if len(self.earliest) < self.config.window:
            self.earliest.append(accuracy)
        self.accuracies.append(accuracy)
        self.rewards.append(reward)
        if self.config.window_includes_current:
            self._take_means()
        self.recorded += 1

    def _take_means(self) -> None:
        self.mean_accuracy = equations.windowed_mean(self.accuracies, self.config.window)
        self.mean_reward = equations.windowed_mean(self.rewards, self.config.window)

    @property
    def ready(self) -> bool:
        """Whether enough means are recorded to judge by."""
        return self.recorded > self.config.window

    def update_p_est(self) -> None:
        """AC-8; called in the estimate state."""
        if self.ready:
            gradient = self.mean_accuracy - self.previous_mean
            self.p_est = equations.estimation_probability(
                self.p_est, gradient, self.config.omega, self.config.p_min, self.config.p_max
            )

    @property
    def must_retrain(self) -> bool:
        """Whether accuracy has fallen: below the earliest n (text) or below a threshold (code)."""
        if not self.ready:
            return False
        if self.config.retrain_rule == "threshold":
            return self.mean_accuracy < self.config.retrain_threshold
        start = equations.windowed_mean(self.earliest, self.config.window)
        return start - self.mean_accuracy > self.config.retrain_drop + 1e-9  # beyond rounding

    def may_return(self, epsilon: float) -> bool:
        """Whether retraining is over."""
        config = self.config
        return (
            self.mean_reward > config.return_reward
            and (config.return_accuracy is None or self.mean_accuracy > config.return_accuracy)
            and (config.return_epsilon is None or epsilon < config.return_epsilon)
        )


class Watch:
    """Both tests. A new one is suspicious: nothing is known yet."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.reset(config.suspect_for)

    def reset(self, suspect: int = 0) -> None:
        """Forget all; suspicious for so many estimates."""
        self.recent: deque[np.ndarray] = deque(maxlen=RECENT)  # of [k]
        self.count = 0  # images before the recent ones
        self.total, self.squares = np.zeros(0), np.zeros(0)  # their sums [k]
        self.surprise = 0.0  # labels lost beyond what P and chance allow
        self.residuals: deque[float] = deque(maxlen=self.config.window)  # P - A, latest
        self.suspect = suspect  # estimates still to come

    def see(self, numbers: np.ndarray) -> bool:
        """Any image: numbers [k] that are at hand without a reference upload. Have they moved?"""
        if not self.config.shift_limit:
            return False
        if len(self.recent) == RECENT:
            oldest = self.recent[0]
            if not self.count:
                self.total, self.squares = np.zeros_like(oldest), np.zeros_like(oldest)
            self.count += 1
            self.total += oldest
            self.squares += oldest * oldest
        self.recent.append(np.nan_to_num(np.asarray(numbers, np.float64), posinf=0.0))
        if self.count < BEFORE or self.shift() <= self.config.shift_limit:
            return False
        self.recent.clear()
        self.count = 0
        self.suspect = self.config.suspect_for
        return True

    def shift(self) -> float:
        """How far the recent mean is from the mean before, in standard errors; the largest."""
        mean = self.total / self.count
        variance = self.squares / self.count - mean * mean  # [k]
        error = np.sqrt(np.maximum(variance, 1e-6) * (1 / RECENT + 1 / self.count))
        return float(np.max(np.abs(np.mean(self.recent, axis=0) - mean) / error))

    def measure(self, survival: float, accuracy: float) -> None:
        """An upload with reference: what was predicted, and what came. Page's CUSUM."""
        residual = survival - accuracy
        self.residuals.append(residual)
        self.surprise = max(0.0, self.surprise + residual - self.config.surprise_slack)
        self.spend()
        if self.surprise > SUSPECT_AT * self.config.surprise_limit:
            self.suspect = self.config.suspect_for

    def spend(self) -> None:
        """One estimate less to come."""
        self.suspect = max(0, self.suspect - 1)

    @property
    def suspicious(self) -> bool:
        """Whether references are worth their bytes just now."""
        return self.suspect > 0

    @property
    def alarmed(self) -> bool:
        """Whether P is too high beyond chance."""
        return self.surprise > self.config.surprise_limit

    @property
    def calibrated(self) -> bool:
        """Whether P fits again what came lately, but for the slack, which is one standard error."""
        full = len(self.residuals) == self.config.window
        return full and abs(float(np.mean(self.residuals))) < self.config.surprise_slack

    def to_json(self) -> dict[str, Any]:
        """All that it remembers; the inverse of `from_json`."""
        return {
            "recent": [numbers.tolist() for numbers in self.recent],
            "count": self.count,
            "total": self.total.tolist(),
            "squares": self.squares.tolist(),
            "surprise": self.surprise,
            "residuals": list(self.residuals),
            "suspect": self.suspect,
        }

    def from_json(self, fields: dict[str, Any]) -> None:
        """Go on from what `to_json` gave."""
        self.reset(int(fields["suspect"]))
        self.recent.extend(np.array(numbers, np.float64) for numbers in fields["recent"])
        self.count, self.surprise = int(fields["count"]), float(fields["surprise"])
        self.total, self.squares = (
            np.array(fields[name], np.float64) for name in ("total", "squares")
        )
        self.residuals.extend(map(float, fields["residuals"]))
