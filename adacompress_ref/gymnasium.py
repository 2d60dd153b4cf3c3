"""The environment for other people's agents: a `gymnasium.Env`, of the package gymnasium."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np

from .core.config import BaseConfig
from .core.roles import Image
from .tables.environment import Environment


class GymnasiumEnvironment(Environment, gymnasium.Env[np.ndarray, Any]):
    """An `Environment` that says its spaces, to be given to Stable-Baselines3 and its like.

    Actions: Discrete(A). Observations: Box of float32, [1280] in presets `paper` and `authors`, and
    [A, inputs] in the others: flatten it, as an "MlpPolicy" does. It has no infinities: leave out
    of `config.encodings` what a live service does not take. No episode ends:
    `gymnasium.wrappers.TimeLimit` makes some. The first image is opened to learn its shape.
    """

    def __init__(
        self,
        images: Sequence[Image | Callable[[], Image]],
        config: BaseConfig,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(images, config, rng)
        first = images[0]
        shape = (first() if callable(first) else first).state.shape
        most = float(np.finfo(np.float32).max)
        self.observation_space = gymnasium.spaces.Box(-most, most, shape, np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(config.encodings))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """As in `Environment`; the state is a copy, as agents keep it or change it."""
        state, info = super().reset(seed=seed, options=options)
        self._np_random = self.rng  # what Gymnasium calls it
        return state.copy(), info

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As in `Environment`; the state is a copy."""
        state, reward, terminated, truncated, info = super().step(action)
        return state.copy(), reward, terminated, truncated, info
