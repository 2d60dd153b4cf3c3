"""The agent of the presets `tuned` and `ladder`: Q from P(labels survive) and known sizes.

The client can encode and count, so of AC-4's action value

    Q(s, c) = alpha * P(labels survive | s, c) - cost(x, c) + beta

only P is to be learned: what it depends on once, from many services, and of the service at hand two
numbers, from every reference that it has answered (`regression`). NumPy alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import equations
from ..core.replay import Replay
from ..core.roles import Image, Measurement, measured
from . import drift, regression
from .config import SurvivalConfig

ALPHAS = 0.05, 40.0  # where it is looked for
AIM_EVERY = 10  # images, and after each measurement
DRAWS = np.random.default_rng(0).normal(size=(50, 2))  # of u, in units of what is not known of it


class SurvivalAgent:
    """Its state is a matrix [actions, inputs], a row of numbers for each action (`drift.rows`).

    Images are independent, so there is no gamma. `goal` is the agreement that alpha is set for as
    images come, 0 where alpha stays; with `confidence`, one that is reached so surely.
    """

    KEPT = (
        *("w", "sigma", "alpha", "epsilon", "steps", "goal", "confidence"),
        *("u", "covariance", "replay", "states", "bytes", "images", "rng"),
        *("again", "again_kept"),
    )
    MEMORY = ("goal", "confidence", *KEPT[-9:])

    def __init__(self, config: SurvivalConfig, inputs: int, rng: np.random.Generator) -> None:
        self.config, self.inputs, self.rng = config, inputs, rng
        width = drift.expand(np.zeros(inputs), config).size
        self.w = np.zeros(width + 1)  # P is one half for all, before anything is known
        self.sigma = regression.SPREAD.copy()  # of u over services, [2, 2]
        self.replay = Replay(config.replay_capacity, inputs, next_states=False)
        self.epsilon, self.alpha, self.steps = 1.0, config.alpha, 0
        self.goal = config.agreement
        self.confidence: float | None = None
        self.states: deque[np.ndarray] = deque(maxlen=config.goal_images)
        self.bytes, self.images = 0.0, 0  # of the references of all images so far, sent or not
        self.again, self.again_kept = 0, 0.0  # references asked again at quality 95; labels kept
        self.stamp: dict[str, Any] = {}
        self.u: np.ndarray = np.zeros(2)
        self.covariance: np.ndarray = self.sigma.copy()  # of what is not known of it

    def survival(self, rows: np.ndarray) -> np.ndarray:
        """P(labels survive), rows [..., inputs] -> [...]: its mean over what is not known of u.

        1 where the payload has the reference's pixels, but never above the `floor`.
        """
        z = self._z(rows)
        phi = regression.directions(z)  # [..., 2]
        variance = np.einsum("...i,ij,...j->...", phi, self.covariance, phi)
        survival = regression.sigmoid((z + phi @ self.u) / np.sqrt(1 + np.pi / 8 * variance))
        return np.minimum(np.where(drift.unchanged(rows, self.config), 1.0, survival), self.floor)

    @property
    def floor(self) -> float:
        """What the finest encoding keeps of labels, 1 unless references were asked again.

        As after ten, of which half a label was lost: most services answer the same bytes alike.
        """
        return (self.again_kept + 9.5) / (self.again + 10) if self.again else 1.0

    def hear_again(self, kept: float) -> None:
        """A reference was asked again at quality 95, and its best label came back: 1, or 0."""
        self.again, self.again_kept = self.again + 1, self.again_kept + kept
        self._aim()

    def _z(self, rows: np.ndarray) -> np.ndarray:
        return drift.expand(rows, self.config) @ self.w[:-1] + self.w[-1]

    def survival_gradient(self, row: np.ndarray) -> np.ndarray:
        """dP/drow [inputs] of P(labels survive), by central differences."""
        step = 1e-4 * np.eye(self.inputs)
        return (self.survival(row + step) - self.survival(row - step)) / 2e-4

    def cost(self, state: np.ndarray) -> np.ndarray:
        """ds (AC-2), states [..., A, inputs] -> [..., A]; infinite where it cannot be taken.

        Aiming at an agreement, the bytes of all are to be few: over those of the mean reference.
        """
        ratios = np.asarray(state[..., -1], np.float64)
        if not (self.goal and self.images):
            return ratios
        return ratios * np.exp(state[..., drift.LOG_REFERENCE]) / (self.bytes / self.images)

    def q_values(self, state: np.ndarray) -> np.ndarray:
        """AC-4's Q(s, c), states [..., actions, inputs] -> [..., actions]."""
        return self.alpha * self.survival(state) - self.cost(state) + self.config.beta

    def act(self, state: np.ndarray) -> int:
        """AC-4, epsilon-greedy, among the actions that can be taken.

        Raises ValueError for a state of another shape.
        """
        expected = len(self.config.encodings), self.inputs
        if state.shape != expected:
            raise ValueError(f"a state has shape {expected}, not {state.shape}")
        if self.rng.random() < self.epsilon:
            return int(self.rng.choice(np.flatnonzero(np.isfinite(state[:, -1]))))
        return equations.best_action(self.q_values(state))

    def predict(self, observation: np.ndarray) -> tuple[np.ndarray, None]:
        """The best action for an observation [actions, inputs], or for each of several; see DQN."""
        return np.asarray(np.argmax(self.q_values(observation), axis=-1)), None

    def arrive(self, state: np.ndarray) -> None:
        """One more image, on which the goal is to be reached."""
        self.bytes += float(np.exp(state[0, drift.LOG_REFERENCE]))
        self.images += 1
        self.states.append(state)
        if self.images % AIM_EVERY == 0:
            self._aim()

    def observe(self, measurement: Measurement) -> None:
        """Learn from the chosen action's row and the accuracy measured."""
        row = measurement.state[measurement.action]
        if drift.unchanged(row, self.config):
            return
        self.replay.add(row, measurement.action, measurement.accuracy, None)
        if self.epsilon == 0:
            kept = self.replay.values[: len(self.replay)]
            z = self._z(self.replay.states[: len(kept)])
            precision = np.linalg.inv(self.sigma)
            self.u, self.covariance = regression.newton(z, kept, precision, self.u)
            self._aim()

    def _aim(self) -> None:
        if self.goal and self.epsilon == 0 and self.states:
            # beyond the floor, as much of what is in reach
            goal = self.goal if self.goal < self.floor else self.goal * self.floor
            self.alpha = self.reach(goal, np.stack(self.states))

    def reach(self, agreement: float, states: np.ndarray) -> float:
        """The least alpha that keeps this share of labels on images, states [n, A, inputs].

        The highest, where it cannot be reached.
        """
        survival, cost = self.survival(states), self.cost(states)  # [n, A]
        kept, rows = survival[None], np.arange(len(states))  # [1 or draws, n, A]
        if self.confidence is not None:
            z, root = self._z(states), np.linalg.cholesky(self.covariance)
            u = self.u + DRAWS @ root.T
            kept = regression.sigmoid(z + np.einsum("nai,di->dna", regression.directions(z), u))
            kept = np.where(drift.unchanged(states, self.config), 1.0, kept)
            kept = np.minimum(kept, self.floor)
        low, high = ALPHAS
        while high / low > 1.02:  # agreement does not fall as alpha grows
            alpha = (low * high) ** 0.5
            chosen = (alpha * survival - cost).argmax(axis=1)
            means = kept[:, rows, chosen].mean(axis=1)
            reached = np.quantile(means, 1 - (self.confidence or 0.5)) >= agreement
            low, high = (low, alpha) if reached else (alpha, high)
        return high

    def aim(self, alpha: float | None, goal: float | None, confidence: float | None = None) -> None:
        """Hold alpha, or aim at an agreement; without either at what it aims at now."""
        self.confidence = confidence
        if alpha is not None:
            self.alpha, self.goal = float(alpha), 0.0
        elif goal is not None:
            self.goal = float(goal)

    @property
    def trained(self) -> bool:
        """Whether the initial training has had all its steps."""
        return self.steps >= self.config.training_steps

    def begin_training(self) -> None:
        """A retraining: another service, perhaps. What all services have in common is known."""
        self.replay.clear()
        self.u, self.covariance = np.zeros(2), self.sigma.copy()

    def training_step(self) -> None:
        """In the initial one, all is learned at its end."""
        self.steps += 1

    def end_training(self, initial: bool) -> None:
        """Exploit from now on."""
        count = len(self.replay)
        if initial and count:
            self._learn(
                self.replay.states[:count], self.replay.values[:count], np.zeros(count, int)
            )
        self.epsilon, self.steps = 0.0, 0

    def study(self, services: Sequence[Sequence[Image]]) -> None:
        """Learn from every upload of recorded images, service by service; then exploit.

        Raises ValueError where no image has a label.
        """
        rows, kept, numbers = [], [], []
        for number, images in enumerate(services):
            for image in images:
                same = drift.unchanged(image.state, self.config)
                for action in np.flatnonzero(np.isfinite(image.state[:, -1]) & ~same).tolist():
                    accuracy, _ = measured(*image.upload(action, True), self.config)
                    if accuracy is not None:
                        rows.append(image.state[action])
                        kept.append(accuracy)
                        numbers.append(number)
        if not kept:
            raise ValueError("the service gave no label for any image: nothing to learn from")
        self._learn(np.array(rows), np.array(kept), np.array(numbers))
        self.epsilon = 0.0

    def _learn(self, rows: np.ndarray, kept: np.ndarray, service: np.ndarray) -> None:
        """w and Sigma from rows [n, inputs], whether labels survived [n], of which service [n]."""
        inputs = drift.expand(rows, self.config)
        self.w, self.sigma = regression.fit(inputs, kept, service)
        self.u, self.covariance = np.zeros(2), self.sigma.copy()
