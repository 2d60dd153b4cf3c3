"""The agent: an epsilon-greedy deep Q-network that acts, remembers and learns. NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import equations
from .config import Config
from .qnetwork import Adam, QNetwork
from .replay import Replay
from .roles import Measurement


class DQNAgent:
    """A DQN whose actions are indices into `config.encodings`; a state is a vector [inputs]."""

    KEPT = ("network", "optimiser", "epsilon", "steps", "replay", "pending", "rng")
    MEMORY = ("replay", "pending", "rng")  # of these, what a saved agent does not take along
    aim = None  # Q is learned for one alpha
    hear_again = None

    def __init__(self, config: Config, inputs: int, rng: np.random.Generator) -> None:
        self.config, self.inputs, self.rng = config, inputs, rng
        self.network = QNetwork((inputs, *config.hidden, len(config.encodings)), rng)
        self.optimiser = Adam(self.network.parameters, config)
        needs_next = config.target == "drawn" and config.gamma != 0
        self.replay = Replay(config.replay_capacity, inputs, next_states=needs_next)
        self.epsilon, self.alpha = 1.0, config.alpha  # epsilon 0: to exploit alone
        self.steps = 0  # of training since exploration began
        self.pending: tuple[np.ndarray, int, float] | None = None  # (s, c, r), s' still to come
        self.stamp: dict[str, Any] = {}

    def q_values(self, state: np.ndarray) -> np.ndarray:
        """State [inputs] -> Q-values [actions]; or [n, inputs] -> [n, actions]."""
        return self.network.q_values(np.asarray(state, np.float32))

    def act(self, state: np.ndarray) -> int:
        """AC-4, epsilon-greedy. Raises ValueError for a state of another shape."""
        if state.shape != (self.inputs,):
            raise ValueError(f"a state has shape ({self.inputs},), not {state.shape}")
        if self.rng.random() < self.epsilon:
            return int(self.rng.integers(len(self.config.encodings)))
        return equations.best_action(self.q_values(state))

    def predict(self, observation: np.ndarray) -> tuple[np.ndarray, None]:
        """The best action for an observation [inputs] or for each of several [n, inputs].

        In the form of Stable-Baselines3, whose second value is a recurrent policy's state.
        """
        return np.asarray(np.argmax(self.q_values(observation), axis=-1)), None

    def observe(self, measurement: Measurement) -> None:
        """Hold the transition until the next image arrives, whose state is its s'."""
        self.pending = (measurement.state, measurement.action, measurement.reward)

    def arrive(self, state: np.ndarray) -> None:
        """Store what is held, s' being known; with `target` "stored" its y (AC-5) for good."""
        if self.pending is None:
            return
        (before, action, value), self.pending = self.pending, None
        if self.config.target == "stored" and self.config.gamma != 0:
            next_q = self.q_values(state)[None]  # [1, actions]
            value = float(equations.target(np.array([value]), self.config.gamma, next_q)[0])
        self.replay.add(before, action, value, state)

    @property
    def trained(self) -> bool:
        """Asked in the initial training: has it had all its steps?"""
        return self.steps >= self.config.training_steps

    def begin_training(self) -> None:
        """A retraining: flush D or keep it, explore anew or not."""
        if self.config.flush == "entry":
            self._flush()
        if self.config.explore_anew:
            self.epsilon, self.steps = 1.0, 0

    def end_training(self, initial: bool) -> None:
        """Exploit from now on. The steps of the initial training do not count in retraining."""
        self.epsilon = 0.0
        self.steps = 0 if initial else self.steps
        if self.config.flush == "exit":
            self._flush()

    def _flush(self) -> None:
        self.replay.clear()
        self.pending = None

    def training_step(self) -> None:
        """AC-6, after each measurement: explore at first, then learn when it is due."""
        self.steps += 1
        if self.steps <= self.config.learning_starts:
            self.epsilon = 1.0
        elif self.steps % self.config.learn_every == 0 and len(self.replay):
            self.learn()

    def learn(self) -> float:
        """One learning step, AC-5 and AC-6: lower epsilon, draw a minibatch; the loss."""
        config = self.config
        self.epsilon = equations.next_epsilon(
            self.epsilon, config.epsilon_decay, config.epsilon_min, config.epsilon_dips
        )
        states, actions, values, next_states = self.replay.sample(config.batch_size, self.rng)
        targets = values  # y [n]
        if next_states is not None:
            # theta_old of AC-5 is theta as it stands before this learning step
            targets = equations.target(values, config.gamma, self.network.q_values(next_states))
        return self.fit(states, actions, targets)

    def fit(self, states: np.ndarray, actions: np.ndarray, targets: np.ndarray) -> float:
        """The gradient passes of one learning step towards fixed targets.

        states [n, inputs], actions [n], targets y [n]. The loss is AC-5's over the chosen
        outputs; with `hold_other_outputs` over all of them, the others' targets being
        the predictions at the time of the draw. Returns the loss of the first pass.
        """
        rows, hold = np.arange(len(states)), self.config.hold_other_outputs
        losses = []
        for gradient_pass in range(self.config.gradient_passes):
            layers = self.network.forward(states)
            if gradient_pass == 0 or not hold:
                wanted = layers[-1].copy()  # [n, actions]
                wanted[rows, actions] = targets
            errors = layers[-1] - wanted  # [n, actions]
            counted = errors if hold else errors[rows, actions]
            losses.append(equations.loss(counted))
            gradient = errors * (2.0 / counted.size)  # dL/dQ [n, actions]
            self.optimiser.step(self.network.parameters, self.network.backward(layers, gradient))
        return losses[0]
