"""Algorithm 1 (AC-6): the running system, untrained, over images that come again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .controller import Controller
from .roles import Agent, Image, Monitor, Step


def passes(
    images: Sequence[Image | Callable[[], Image]], rng: np.random.Generator
) -> Iterator[Image]:
    """Pass after pass over images, or functions that open one, each in an order of its own."""
    while images:
        for place in rng.permutation(len(images)):
            image = images[place]
            yield image() if callable(image) else image


def train(
    agent: Agent,
    monitor: Monitor,
    images: Sequence[Image | Callable[[], Image]],
    on_step: Callable[[Step], None] = lambda step: None,
) -> None:
    """Train a new agent for `config.training_steps` measurements; ready to exploit afterwards.

    `on_step` is called after each. Images whose reference has no label are passed over; raises
    ValueError where that is all of them, where there is none, or a state has another shape.
    """
    controller, unlabelled = Controller(agent, monitor, trained=False, early=False), 0
    for image in passes(images, agent.rng):
        step = controller.step(image)
        if step.accuracy is not None:
            on_step(step)
        unlabelled = 0 if step.accuracy is not None else unlabelled + 1
        if not controller.initial:
            return
        if unlabelled == 2 * len(images):  # in a row: a whole pass had no other
            break
    raise ValueError("the service gave no label for any image: nothing to learn from")
