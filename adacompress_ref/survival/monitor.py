"""How many references are asked for, and noticing that scenery or service has changed.

A reference costs bytes, so it is bytes that they have a share of; a few labels lost of a hundred
need many to be seen, which is why the share is one of the labels that may be lost.

Of a change, two tests. The first is free: where the latest mean of states and scores has moved
(`Shift`), something is different, which is a reason to measure: estimates come at p_max. The second
is sequential: a few labels lost beyond what P and chance allow end in retraining. NumPy alone.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from ..core import equations
from ..core.roles import Measurement, Upload
from .agent import SurvivalAgent

RECENT = 60  # images whose mean is compared with that of the images before
BEFORE = 100  # images, at least, that they are compared with
SUSPECT_AT = 0.5  # of the surprise that ends in retraining
LEAST_EARLY = 0.05  # p_est at first


class Shift:
    """Whether the mean of the latest numbers [k] has moved from that of those before."""

    KEPT = ("recent", "count", "total", "squares")

    def __init__(self, limit: float) -> None:
        self.limit = limit  # in standard errors
        self.forget()

    def forget(self) -> None:
        """As if nothing had been seen."""
        self.recent: deque[np.ndarray] = deque(maxlen=RECENT)
        self.count = 0  # of those before
        self.total: Any = 0.0  # [k], as are their squares
        self.squares: Any = 0.0

    def see(self, numbers: np.ndarray) -> bool:
        """One more image. Where they have moved, what was before is forgotten."""
        if len(self.recent) == RECENT:
            oldest = self.recent[0]
            self.count += 1
            self.total, self.squares = self.total + oldest, self.squares + oldest * oldest
        self.recent.append(np.nan_to_num(np.asarray(numbers, np.float64), posinf=0.0))
        moved = self.count >= BEFORE and self.size() > self.limit
        if moved:
            self.forget()
        return moved

    def size(self) -> float:
        """How far, in standard errors; of the number that has moved most."""
        mean = self.total / self.count
        variance = self.squares / self.count - mean * mean  # [k]
        error = np.sqrt(np.maximum(variance, 1e-6) * (1 / RECENT + 1 / self.count))
        return float(np.max(np.abs(np.mean(self.recent, axis=0) - mean) / error))


class Surprise:
    """The monitor of `SurvivalAgent`."""

    KEPT = (
        *("accuracies", "mean_accuracy", "shift", "surprise", "residuals", "suspect"),
        *("images", "sent", "p_est"),
    )

    def __init__(self, agent: SurvivalAgent) -> None:
        self.agent, self.config = agent, agent.config
        self.end_training()

    def end_training(self) -> None:
        """A service of which little is known: references are asked for as at first."""
        self.begin_training()
        self.accuracies: deque[float] = deque(maxlen=self.config.window)
        self.mean_accuracy = float("nan")
        self.images, self.sent = 0, 0.0  # since then; bytes of their uploads, references left out
        self.p_est = self._chance()

    def begin_training(self) -> None:
        """Whatever was suspected is so."""
        self.shift = Shift(self.config.shift_limit)
        self.surprise = 0.0  # labels lost beyond what P and chance allow: Page's CUSUM
        self.residuals: deque[float] = deque(maxlen=self.config.window)  # P - A, latest
        self.suspect = 0  # estimates still to come

    def see(self, state: np.ndarray, action: int, compressed: Upload) -> None:
        """Is something different? The first row stands for what all actions share."""
        self.images, self.sent = self.images + 1, self.sent + compressed.size
        score = compressed.labels[0].score if compressed.labels else 0.0
        if self.shift.see(np.append(state[0], score)):
            self.suspect = self.config.suspect_for
        self.p_est = self._chance()

    def record(self, measurement: Measurement) -> None:
        """What was predicted, and what came."""
        self.accuracies.append(measurement.accuracy)
        self.mean_accuracy = equations.windowed_mean(self.accuracies, self.config.window)
        row = measurement.state[measurement.action]
        residual = float(self.agent.survival(row)) - measurement.accuracy
        self.residuals.append(residual)
        self.surprise = max(0.0, self.surprise + residual - self.config.surprise_slack)

    def estimated(self, measured: bool) -> None:
        """One without a measurement is paid for too."""
        alarm = self.surprise > SUSPECT_AT * self.config.surprise_limit
        self.suspect = self.config.suspect_for if alarm else max(0, self.suspect - 1)
        self.p_est = self._chance()

    def _chance(self) -> float:
        """p_est: of labels that may be lost, so many references."""
        config, agent = self.config, self.agent
        lost = 1 - (agent.goal or config.agreement)
        if self.suspect:
            return config.p_max
        if self.images < config.early_images:
            return min(max(config.early_losses * lost, LEAST_EARLY), config.p_0)
        mean_ratio = self.sent / self.images / (agent.bytes / agent.images)
        return min(max(config.share * lost * mean_ratio, config.p_min), config.p_0)

    @property
    def must_retrain(self) -> bool:
        """Whether P is too high beyond chance."""
        return self.surprise > self.config.surprise_limit

    def may_return(self, initial: bool) -> bool:
        """Whether P fits what came lately; initially, after a quarter of the steps."""
        if initial:
            return 4 * self.agent.steps >= self.config.training_steps
        full = len(self.residuals) == self.config.window
        return full and abs(float(np.mean(self.residuals))) < 2 * self.config.surprise_slack
