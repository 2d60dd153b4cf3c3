"""The paper's monitor: windowed means (AC-7), the probability of an estimate (AC-8), two tests."""

from __future__ import annotations

from collections import deque

import numpy as np

from . import equations
from .agent import DQNAgent
from .roles import Measurement, Upload


class Estimator:
    """Windows of accuracy and reward, and p_est; all begin anew when a retraining ends."""

    KEPT = (
        *("earliest", "accuracies", "rewards", "recorded"),
        *("mean_accuracy", "previous_mean", "mean_reward", "p_est"),
    )

    def __init__(self, agent: DQNAgent) -> None:
        self.agent, self.config = agent, agent.config
        self.end_training()

    def end_training(self) -> None:
        """Start with empty windows and p_0."""
        self.earliest: list[float] = []  # the first n accuracies
        self.accuracies: deque[float] = deque(maxlen=self.config.window)  # the latest n
        self.rewards: deque[float] = deque(maxlen=self.config.window)
        self.recorded = 0  # windowed means so far
        self.mean_accuracy = self.previous_mean = self.mean_reward = float("nan")
        self.p_est = self.config.p_0  # AC-8

    def see(self, state: np.ndarray, action: int, compressed: Upload) -> None:
        """Nothing is known of an upload without its reference."""

    def record(self, measurement: Measurement) -> None:
        """Add one measurement and record the windowed means, before or after it (AC-7)."""
        self.previous_mean = self.mean_accuracy
        if not self.config.window_includes_current:
            self._take_means()
        if len(self.earliest) < self.config.window:
            self.earliest.append(measurement.accuracy)
        self.accuracies.append(measurement.accuracy)
        self.rewards.append(measurement.reward)
        if self.config.window_includes_current:
            self._take_means()
        self.recorded += 1

    def _take_means(self) -> None:
        self.mean_accuracy = equations.windowed_mean(self.accuracies, self.config.window)
        self.mean_reward = equations.windowed_mean(self.rewards, self.config.window)

    def estimated(self, measured: bool) -> None:
        """p_est by AC-8, once more than n means are recorded."""
        if measured and self.recorded > self.config.window:
            gradient, config = self.mean_accuracy - self.previous_mean, self.config
            self.p_est = equations.estimation_probability(
                self.p_est, gradient, config.omega, config.p_min, config.p_max
            )

    @property
    def must_retrain(self) -> bool:
        """Whether accuracy has fallen: below the earliest n (text) or below a threshold (code)."""
        if self.recorded <= self.config.window:
            return False
        if self.config.retrain_rule == "threshold":
            return self.mean_accuracy < self.config.retrain_threshold
        start = equations.windowed_mean(self.earliest, self.config.window)
        return start - self.mean_accuracy > self.config.retrain_drop + 1e-9  # beyond rounding

    def may_return(self, initial: bool) -> bool:
        """Whether rewards are high again; the initial training has a number of steps instead."""
        return (
            not initial
            and self.mean_reward > self.config.return_reward
            and self.mean_accuracy > self.config.return_accuracy
            and self.agent.epsilon < self.config.return_epsilon
        )

    def begin_training(self) -> None:
        """The windows go on."""
