"""What is learned once, from the recorded answers of several services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.roles import Image, measured
from . import drift
from .agent import SurvivalAgent


def train(agent: SurvivalAgent, services: Sequence[Sequence[Image]], on_step: Any = None) -> None:
    """From every upload of recorded images, service by service; ready to exploit afterwards.

    alpha is then the least at which the agreement that the config aims at is kept with each of
    these services. Raises ValueError where no image of a service has a label.
    """
    rows, kept, numbers = [], [], []
    for number, images in enumerate(services):
        known = [_answers(agent, image) for image in images]
        if not any(len(accuracies) for _, accuracies in known):
            raise ValueError("a service gave no label for any image: nothing to learn from")
        rows += [drift.expand(own, agent.config) for own, _ in known]
        kept += [accuracies for _, accuracies in known]
        numbers.append(np.full(sum(len(accuracies) for _, accuracies in known), number))
    of_services = agent.learn(*map(np.concatenate, (rows, kept, numbers)))
    agent.epsilon, alphas = 0.0, []
    covariance, agent.covariance = agent.covariance, np.zeros((2, 2))
    for agent.u, images in zip(of_services, services, strict=True):
        states = np.stack([image.state for image in images])
        alphas.append(agent.reach(agent.config.agreement, states))
    agent.alpha, agent.u, agent.covariance = max(alphas), np.zeros(2), covariance


def _answers(agent: SurvivalAgent, image: Image) -> tuple[np.ndarray, np.ndarray]:
    """The rows [n, inputs] of an image's actions that tell something, and their accuracies [n]."""
    state = image.state
    telling = np.isfinite(state[:, -1]) & ~drift.unchanged(state, agent.config)
    accuracies = [
        measured(*image.upload(action, True), agent.config)[0]
        for action in np.flatnonzero(telling).tolist()
    ]
    if None in accuracies:
        return state[:0], np.zeros(0)
    return state[telling], np.array(accuracies, float)
