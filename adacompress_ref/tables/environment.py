"""{X, M} as an environment: recorded images, and Gymnasium's `reset` and `step`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import equations
from ..core.config import Config
from ..core.controller import Image, Upload, measured
from .table import Table


class RecordedImage:
    """Row `index` of a table, whose uploads have been made before."""

    def __init__(self, table: Table, index: int, config: Config) -> None:
        self.table = table
        self.index = index
        self.config = config
        self.state = table.states(config, index, every=True)  # [1280] or [A, inputs]

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """The recorded uploads of an action, and of the reference where asked."""
        sizes = self.table.bytes[self.index]  # [A + 1]
        if self.config.state == "drift" and sizes[action] > sizes[-1]:
            action = -1  # as in Payloads.of
        return self._recorded(action), self._recorded(-1) if reference else None

    def _recorded(self, column: int) -> Upload:
        size = int(self.table.bytes[self.index, column])
        return Upload(size, self.table.answers(self.index, column))


class Environment:
    """Gymnasium's interface, without importing it: an action is an index into the encodings.

    `images` holds n images, or functions that open one. Each pass over them has an order of its
    own, drawn from the generator; passes follow one another without end. Observation: s = E(x)
    [inputs] float32 of the image at hand, or of drift [actions, inputs]. Reward: AC-3.
    """

    def __init__(
        self,
        images: Sequence[Image | Callable[[], Image]],
        config: Config,
        rng: np.random.Generator,
    ) -> None:
        if not images:
            raise ValueError("an environment needs at least one image")
        self.images = images
        self.config = config
        self.rng = rng
        self._order: list[int] = []

    def _next(self) -> None:
        if not self._order:
            self._order = [int(place) for place in self.rng.permutation(len(self.images))]
        entry = self.images[self._order.pop()]
        self.image: Image = entry() if callable(entry) else entry

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new pass; with `seed`, from a new generator. Returns observation and info."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self._order = []
        self._next()
        return self.image.state, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Upload at this action and at the reference; go on to the next image.

        Returns observation, reward, terminated, truncated (both always false) and info with
        `accuracy`, `agreement`, `size_ratio`. Where the reference has no label, or an upload no
        answer, accuracy and agreement are None and the reward is 0: keep it out of learning.
        """
        compressed, reference = self.image.upload(int(action), True)
        accuracy, agreement = measured(compressed, reference, self.config)
        ratio, reward = None, 0.0
        if reference is not None and reference.size:
            ratio = equations.size_ratio(compressed.size, reference.size)
        if ratio is not None and accuracy is not None:
            reward = equations.reward(accuracy, ratio, self.config.alpha, self.config.beta)
        info = {"accuracy": accuracy, "agreement": agreement, "size_ratio": ratio}
        self._next()
        return self.image.state, reward, False, False, info
