"""Algorithm 1: train an agent in an environment (AC-6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..survival.agent import SurvivalAgent
from ..tables.environment import Environment
from .agent import DQNAgent
from .config import Config


def train(
    environment: Environment,
    config: Config,
    rng: np.random.Generator,
    *,
    stamp: dict[str, Any] | None = None,
    on_step: Callable[[DQNAgent, float], None] | None = None,
) -> DQNAgent:
    """A new agent after `config.training_steps` steps, ready to exploit.

    `on_step` is called after each with the agent and the reward. Images whose
    reference has no label are passed over; raises ValueError where that is all of them.
    """
    state, _ = environment.reset()
    agent = DQNAgent.create(config, state.shape[-1], rng, stamp)
    unlabelled = 0
    while agent.steps < config.training_steps:
        action = agent.act(state)
        next_state, reward, _, _, info = environment.step(action)
        if info["accuracy"] is None:
            unlabelled += 1
            # so many in a row that at least one pass had no other
            if unlabelled == 2 * len(environment.images):
                raise ValueError("the service gave no label for any image: nothing to learn from")
        else:
            unlabelled = 0
            if isinstance(agent, SurvivalAgent):
                agent.observe(state, action, info["accuracy"])
            else:
                agent.remember(state, action, reward, next_state)
            agent.training_step()
            if on_step:
                on_step(agent, reward)
        state = next_state
    agent.end_training()
    return agent


def split(count: int, test_share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to test on, by image; at least one of each.

    Raises ValueError for fewer than two images.
    """
    if count < 2:
        raise ValueError(f"{count} image: at least two are needed to train on one and test another")
    order = rng.permutation(count)
    tested = min(max(1, round(count * test_share)), count - 1)
    return np.sort(order[tested:]), np.sort(order[:tested])
