"""Noticing that scenery or service has changed, with few reference uploads. NumPy alone.

Two tests follow one another. The first is free: where the latest mean of states and scores has
moved (`Shift`), something is different, which is a reason to measure: estimates come at p_max. The
second is sequential: a few labels lost beyond what P and chance allow end in retraining.
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
SUSPECT_AT = 0.7  # of the surprise that ends in retraining
GOAL_IMAGES = 200  # the latest, on which an agreement is to be reached
GOAL_ALPHA = 3.0  # before the first measurement, where an agreement is to be reached
FADING, DOUBT = 0.995, 10.0  # of each residual at the next one; how many of them 0 counts for


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
    """The monitor of `SurvivalAgent`. A new one is suspicious, at p_0: nothing is known yet."""

    KEPT = (
        *("goal", "states", "accuracies", "mean_accuracy", "previous_mean", "recorded"),
        *("shift", "surprise", "residuals", "suspect", "suspicious", "p_est", "excess", "weight"),
    )

    def __init__(self, agent: SurvivalAgent) -> None:
        self.agent, self.config = agent, agent.config
        self.goal: float | None = None  # agreement that alpha is set for, if any
        self.states: deque[np.ndarray] = deque(maxlen=GOAL_IMAGES)  # for that goal
        self.end_training()
        self.suspect, self.suspicious, self.p_est = self.config.suspect_for, True, self.config.p_0

    def end_training(self) -> None:
        """All is known again."""
        self.begin_training()
        self.accuracies: deque[float] = deque(maxlen=self.config.window)
        self.mean_accuracy = self.previous_mean = float("nan")
        self.recorded = 0
        self.suspicious, self.p_est = False, self.config.p_min
        self.excess, self.weight = 0.0, 0.0  # of all P - A, fading; how many they are

    def begin_training(self) -> None:
        """Whatever was suspected is so."""
        self.shift = Shift(self.config.shift_limit)
        self.surprise = 0.0  # labels lost beyond what P and chance allow: Page's CUSUM
        self.residuals: deque[float] = deque(maxlen=self.config.window)  # P - A, latest
        self.suspect = 0  # estimates still to come

    def see(self, state: np.ndarray, action: int, compressed: Upload) -> None:
        """Is something different? The first row stands for what all actions share."""
        score = compressed.labels[0].score if compressed.labels else 0.0
        if self.shift.see(np.append(state[0], score)):
            self.suspect = self.config.suspect_for
            self.suspicious, self.p_est = True, self.config.p_max
        if self.goal is not None:
            self.states.append(state)
            if not self.weight:
                self.agent.alpha = GOAL_ALPHA

    def record(self, measurement: Measurement) -> None:
        """What was predicted, and what came."""
        state, accuracy = measurement.state, measurement.accuracy
        self.accuracies.append(accuracy)
        self.recorded += 1
        self.previous_mean = self.mean_accuracy
        self.mean_accuracy = equations.windowed_mean(self.accuracies, self.config.window)
        residual = float(self.agent.survival(state[measurement.action])) - accuracy
        self.residuals.append(residual)
        self.surprise = max(0.0, self.surprise + residual - self.config.surprise_slack)
        self._spend(alarm=self.surprise > SUSPECT_AT * self.config.surprise_limit)
        self.excess = FADING * self.excess + residual
        self.weight = FADING * self.weight + 1
        if self.goal is not None and self.states:
            excess = self.excess / (self.weight + DOUBT)
            self.agent.reach(self.goal, np.stack(self.states), excess)

    def _spend(self, alarm: bool) -> None:
        """An estimate. p_est jumps to p_max on suspicion, and to p_min when it is dismissed."""
        self.suspect = self.config.suspect_for if alarm else max(0, self.suspect - 1)
        if (self.suspect > 0) != self.suspicious:
            self.suspicious = self.suspect > 0
            self.p_est = self.config.p_max if self.suspicious else self.config.p_min

    def estimated(self, measured: bool) -> None:
        """AC-8 while nothing is suspected; an estimate without a measurement is paid for too."""
        if not measured:
            self._spend(alarm=False)
        elif not self.suspicious and self.recorded > self.config.window:
            gradient, config = self.mean_accuracy - self.previous_mean, self.config
            self.p_est = equations.estimation_probability(
                self.p_est, gradient, config.omega, config.p_min, config.p_max
            )

    @property
    def must_retrain(self) -> bool:
        """Whether P is too high beyond chance."""
        return self.surprise > self.config.surprise_limit

    def may_return(self, initial: bool) -> bool:
        """Whether P fits what came lately, but for the slack, which is one standard error."""
        full = len(self.residuals) == self.config.window
        return full and abs(float(np.mean(self.residuals))) < self.config.surprise_slack
