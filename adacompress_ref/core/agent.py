"""The agent: an epsilon-greedy deep Q-network that acts, remembers and learns. NumPy alone."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..storage.arrays import load_arrays, save_arrays
from . import equations
from .config import Config
from .qnetwork import Adam, QNetwork
from .replay import Replay

FILE_FORMAT = 1  # of saved agents


class AgentError(ValueError):
    """An agent file cannot be read, or does not fit what it is loaded into."""


class DQNAgent:
    """A DQN whose actions are indices into `config.encodings`.

    `state_size` is the length of a state vector. `stamp` is JSON data that travels with the
    agent: the extractor's hash, the preprocessing, the service and the images it learned from.
    `epsilon` starts at 1; set it to 0 for an agent that is to exploit alone.
    """

    def __init__(
        self,
        config: Config,
        state_size: int,
        rng: np.random.Generator,
        stamp: dict[str, Any] | None = None,
    ) -> None:
        if config.state == "drift" and type(self) is DQNAgent:
            raise ValueError("config field 'state': drift asks for DQNAgent.create")
        self.config = config
        self.state_size = state_size
        self.rng = rng
        self.stamp = dict(stamp or {})
        outputs = len(config.encodings) if config.state == "features" else 1  # P, see survival.py
        self.network = QNetwork((state_size, *config.hidden, outputs), rng)
        self.optimiser = Adam(
            self.network.parameters,
            config.learning_rate,
            config.beta_1,
            config.beta_2,
            config.adam_epsilon,
        )
        needs_next = config.target == "drawn" and config.gamma != 0
        self.replay = Replay(config.replay_capacity, state_size, next_states=needs_next)
        self.epsilon = 1.0
        self.steps = 0  # of training since exploration began
        self.alpha = config.alpha

    @staticmethod
    def create(
        config: Config,
        state_size: int,
        rng: np.random.Generator,
        stamp: dict[str, Any] | None = None,
    ) -> DQNAgent:
        """The kind of agent that a config asks for; arguments as for the class."""
        if config.state == "drift":
            from ..survival.agent import SurvivalAgent  # here, as it is built on this class

            return SurvivalAgent(config, state_size, rng, stamp)
        return DQNAgent(config, state_size, rng, stamp)

    # Acting -----------------------------------------------------------------------------------

    def q_values(self, state: np.ndarray) -> np.ndarray:
        """State [inputs] -> Q-values [actions]; or [n, inputs] -> [n, actions]."""
        return self.network.q_values(np.asarray(state, np.float32))

    def act(self, state: np.ndarray) -> int:
        """AC-4, epsilon-greedy: a uniformly random action with probability epsilon."""
        if self.rng.random() < self.epsilon:
            return self.explore(state)
        return equations.best_action(self.q_values(state))

    def explore(self, state: np.ndarray) -> int:
        """A uniformly random action."""
        return int(self.rng.integers(len(self.config.encodings)))

    def predict(self, observation: np.ndarray) -> tuple[np.ndarray, None]:
        """The best action for an observation [inputs] or for each of several [n, inputs].

        In the form of Stable-Baselines3, whose second value is a recurrent policy's state.
        """
        return np.asarray(np.argmax(self.q_values(observation), axis=-1)), None

    # Learning ---------------------------------------------------------------------------------

    def remember(
        self, state: np.ndarray, action: int, reward: float, next_state: np.ndarray
    ) -> None:
        """Keep one transition in D; with `target` "stored", AC-5's y is computed here, for good."""
        value = reward
        if self.config.target == "stored" and self.config.gamma != 0:
            next_q = self.q_values(next_state)[None]  # [1, actions]
            value = float(equations.target(np.array([reward]), self.config.gamma, next_q)[0])
        self.replay.add(state, action, value, next_state)

    def begin_training(self) -> None:
        """Explore anew: epsilon 1, and T_start steps to go before learning."""
        self.steps = 0
        self.epsilon = 1.0

    def end_training(self) -> None:
        """Exploit from now on: epsilon 0."""
        self.epsilon, self.steps = 0.0, 0

    def training_step(self) -> float | None:
        """AC-6, after each remembered transition: explore at first, then learn when it is due.

        Returns the loss of a learning step, None where there was none.
        """
        self.steps += 1
        if self.steps <= self.config.learning_starts:
            self.epsilon = 1.0
        elif self.steps % self.config.learn_every == 0 and len(self.replay):
            return self.learn()
        return None

    def learn(self) -> float:
        """One learning step, AC-5 and AC-6: lower epsilon, draw a minibatch, several passes.

        Returns the loss of the first pass.
        """
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
        outputs; with `hold_other_outputs` (authors) over all of them, the others' targets being
        the predictions at the time of the draw. Returns the loss of the first pass.
        """
        rows = np.arange(len(states))
        losses = []
        for gradient_pass in range(self.config.gradient_passes):
            layers = self.network.forward(states)
            q_values = layers[-1]  # [n, actions]
            if self.config.hold_other_outputs:
                if gradient_pass == 0:
                    held = q_values.copy()
                    held[rows, actions] = targets
                errors = q_values - held  # [n, actions]
                gradient = errors * (2.0 / errors.size)
            else:
                errors = q_values[rows, actions] - targets  # [n]
                gradient = np.zeros_like(q_values)
                gradient[rows, actions] = errors * (2.0 / errors.size)
            losses.append(equations.loss(errors))
            self.optimiser.step(self.network.parameters, self.network.backward(layers, gradient))
        return losses[0]

    # Keeping ----------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Parameters, optimiser and exploration, without D; the inverse of `from_arrays`."""
        return {
            "parameters": self.network.parameters,
            "adam_mean": self.optimiser.mean,
            "adam_variance": self.optimiser.variance,
            "adam_steps": np.array(self.optimiser.steps),
            "epsilon": np.array(self.epsilon),
            "steps": np.array(self.steps),
        }

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the place of what `to_arrays` gave. Raises AgentError if the sizes differ."""
        # the vectors among them are the agent's own, not copies
        columns = {name: own for name, own in self.to_arrays().items() if own.ndim}
        for name, own in columns.items():
            if arrays[name].shape != own.shape:
                raise AgentError(
                    f"the agent has {arrays[name].size} {name}, but this configuration {own.size}"
                )
            # NaN is not below it either
            if arrays[name].dtype.kind != "f" or not (np.abs(arrays[name]) < 1e8).all():
                raise AgentError(f"its {name} are not all numbers that learning leads to")
        for name, own in columns.items():
            own[:] = arrays[name]
        self.optimiser.steps = int(arrays["adam_steps"])
        self.epsilon = float(arrays["epsilon"])
        self.steps = int(arrays["steps"])
        if not (0 <= self.optimiser.steps < 2**53 and 0 <= self.steps < 2**53):
            raise AgentError("its steps are no numbers of steps")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write config, stamp, parameters and optimiser to one .npz, whole or not at all."""
        description = {
            "format": FILE_FORMAT,
            "state_size": self.state_size,
            "config": self.config.to_json(),
            "stamp": self.stamp,
        }
        save_arrays(path, description, self.to_arrays())

    @staticmethod
    def load(path: str | os.PathLike[str], rng: np.random.Generator | None = None) -> DQNAgent:
        """Read what `save` wrote; ready to exploit (epsilon 0). Raises AgentError."""
        try:
            description, arrays = load_arrays(path)
            if description["format"] != FILE_FORMAT:
                raise AgentError(
                    f"another version wrote it, in format {description['format']!r:.40}"
                )
            config, stamp = Config.from_json(description["config"]), description["stamp"]
            agent = DQNAgent.create(
                config, int(description["state_size"]), rng or np.random.default_rng(), stamp
            )
            agent.from_arrays(arrays)
            agent.epsilon, agent.steps = 0.0, 0
        except FileNotFoundError as error:
            raise AgentError(f"{path}: there is no such file") from error
        except Exception as error:  # damaged in any of many ways
            text = f"{(str(error).splitlines() or [type(error).__name__])[0]:.300}"
            raise AgentError(f"{path}: not an agent that can be used ({text})") from error
        return agent

    @staticmethod
    def from_keras(
        path: str | os.PathLike[str], rng: np.random.Generator | None = None
    ) -> DQNAgent:
        """The authors' network, or any dense ReLU stack that Keras 2 saved as HDF5.

        Preset `authors`, with as many levels from 5 to 95 as the network has outputs. Raises
        AgentError, or ImportError where h5py is missing (extra `keras`).
        """
        from ..keras_file import load  # here, as it is no part of the core

        return load(path, rng or np.random.default_rng())
