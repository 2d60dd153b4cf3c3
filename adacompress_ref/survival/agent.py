"""The agent of the presets `tuned` and `ladder`: Q from P(labels survive) and known sizes.

The client can encode and count, so of AC-4's action value

    Q(s, c) = alpha * P(labels survive | s, c) - ds(x, c) + beta

only P is to be learned, by one small network for all actions. NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import equations
from ..core.qnetwork import Adam, QNetwork
from ..core.replay import Replay
from ..core.roles import Measurement
from .config import SurvivalConfig

ALPHAS = 0.1, 10.0  # where `reach` looks


class SurvivalAgent:
    """Its state is a matrix [actions, inputs], a row of numbers for each action.

    The last number of a row is the action's size ratio ds (AC-2), infinite where it cannot be
    taken. Images are independent, so there is no gamma.
    """

    KEPT = (
        *("network", "optimiser", "epsilon", "steps", "alpha", "anchor", "anchored"),
        *("replay", "rng"),
    )
    adjustable = True  # P does not depend on alpha

    def __init__(self, config: SurvivalConfig, inputs: int, rng: np.random.Generator) -> None:
        self.config, self.inputs, self.rng = config, inputs, rng
        self.network = QNetwork((inputs, *config.hidden, 1), rng)
        self.network.weights[-1][:] = 0  # P is one half for all, before anything is known
        self.optimiser = Adam(self.network.parameters, config)
        self.replay = Replay(config.replay_capacity, inputs, next_states=False)
        self.epsilon, self.alpha, self.steps = 1.0, config.alpha, 0
        self.anchor, self.anchored = self.network.parameters.copy(), False
        self.stamp: dict[str, Any] = {}

    def survival(self, state: np.ndarray) -> np.ndarray:
        """P(labels survive), states [..., actions, inputs] -> [..., actions]."""
        rows = np.nan_to_num(np.asarray(state, np.float32), posinf=0.0)
        return _sigmoid(self.network.q_values(rows)[..., 0])

    def survival_gradient(self, row: np.ndarray) -> np.ndarray:
        """dP/drow of P(labels survive), row [inputs] -> [inputs]."""
        survival = float(self.survival(row))
        return self.network.input_gradient(row, 0) * survival * (1 - survival)

    def q_values(self, state: np.ndarray) -> np.ndarray:
        """AC-4's Q(s, c), states [..., actions, inputs] -> [..., actions]."""
        ratios = np.asarray(state, np.float32)[..., -1]  # ds
        return self.alpha * self.survival(state) - ratios + self.config.beta

    def act(self, state: np.ndarray) -> int:
        """AC-4; at random among the actions that would beat the best, were they sure to survive.

        Raises ValueError for a state of another shape.
        """
        expected = len(self.config.encodings), self.inputs
        if state.shape != expected:
            raise ValueError(f"a state has shape {expected}, not {state.shape}")
        if self.rng.random() >= self.epsilon:
            return equations.best_action(self.q_values(state))
        best_case = self.alpha - state[:, -1] + self.config.beta  # [actions]
        return int(self.rng.choice(np.flatnonzero(best_case >= self.q_values(state).max())))

    def predict(self, observation: np.ndarray) -> tuple[np.ndarray, None]:
        """The best action for an observation [actions, inputs], or for each of several; see DQN."""
        return np.asarray(np.argmax(self.q_values(observation), axis=-1)), None

    def reach(self, agreement: float, states: np.ndarray, excess: float) -> None:
        """Set alpha to the least that reaches an agreement on images [n, actions, inputs].

        `excess` is by how much P was too high lately. The highest, where it cannot be reached.
        """
        survival = self.survival(states)  # [n, actions]
        rows = np.arange(len(states))
        low, high = ALPHAS
        while high / low > 1.01:  # agreement does not fall as alpha grows
            alpha = (low * high) ** 0.5
            chosen = (alpha * survival - states[..., -1]).argmax(axis=1)
            reached = survival[rows, chosen].mean() - excess >= agreement
            low, high = (low, alpha) if reached else (alpha, high)
        self.alpha = high

    def observe(self, measurement: Measurement) -> None:
        """Keep the chosen action's row and the accuracy measured."""
        state, action = measurement.state, measurement.action
        self.replay.add(state[action], action, measurement.accuracy, None)

    def arrive(self, state: np.ndarray) -> None:
        """It needs no s'."""

    @property
    def trained(self) -> bool:
        """Whether the initial training has had all its steps."""
        return self.steps >= self.config.training_steps

    def begin_training(self) -> None:
        """A retraining: other labels survive now."""
        self.replay.clear()
        self.epsilon, self.steps = 1.0, 0

    def end_training(self, initial: bool) -> None:
        """Exploit from now on, and hold on to what is known."""
        self.epsilon, self.steps = 0.0, 0 if initial else self.steps
        self.anchor, self.anchored = self.network.parameters.copy(), True

    def training_step(self) -> None:
        """Explore as long as it trains."""
        self.steps += 1
        if self.steps > self.config.learning_starts:
            self.learn()

    def estimate_step(self) -> None:
        """An estimate is a label that is paid for."""
        self.learn()

    def learn(self) -> float:
        """The gradient passes of one learning step towards accuracies in [0, 1].

        By cross-entropy: unlike that of AC-5's square, its gradient does not vanish where P is
        wrong and sure of itself. The pull towards the parameters that training ended with counts
        like `config.anchor` transitions (before, `anchor_untrained`), so it fades as D fills.
        Returns the loss of the first pass.
        """
        states, _, targets, _ = self.replay.sample(self.config.batch_size, self.rng)
        logits = self.network.q_values(states)[:, 0]  # [n]
        loss = np.mean(np.logaddexp(0, logits) - targets * logits)
        weight = self.config.anchor if self.anchored else self.config.anchor_untrained
        pull = 2 * weight / len(self.replay)
        for _ in range(self.config.gradient_passes):
            layers = self.network.forward(states)
            survival = _sigmoid(layers[-1][:, 0])  # P [n]
            gradient = self.network.backward(layers, (survival - targets)[:, None] / len(targets))
            gradient += pull * (self.network.parameters - self.anchor)
            self.optimiser.step(self.network.parameters, gradient)
        return float(loss)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.clip(-30, 30)))
