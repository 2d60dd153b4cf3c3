"""{X, M} as an environment: recorded images, and Gymnasium's `reset` and `step`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import equations
from ..core.config import BaseConfig
from ..core.roles import Image, Upload, measured
from ..core.training import passes
from ..views import View
from .table import Table, TableError


class RecordedImage:
    """Row `index` of a table as a view has it, whose uploads have been made before."""

    def __init__(self, table: Table, index: int, view: View) -> None:
        if table.source.encodings != view.encodings:
            raise TableError("the table has other encodings: take table.only(view.encodings)")
        self.table, self.index, self.view = table, index, view
        self.sizes = table.sizes(view.own_tables)[index]  # [A + 1]
        self.state = view.of_table(table, index, every=True)  # [inputs] or [A, inputs]

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """The recorded uploads of an action, and of the reference where asked."""
        sizes = self.sizes.tolist()
        if self.view.probe and sizes[action] > sizes[-1]:
            action = -1  # as in Payloads.of
        columns = (action, -1) if reference else (action,)
        uploads = [Upload(sizes[c], self.table.answers(self.index, c)) for c in columns]
        return uploads[0], uploads[-1] if reference else None


class Environment:
    """Gymnasium's interface, without importing it: an action is an index into the encodings.

    `images` are images, or functions that open one, over which it goes as `passes` does, without
    end. Observation: the state of the image at hand, [inputs] or [A, inputs] float32. Reward: AC-3.
    """

    def __init__(
        self,
        images: Sequence[Image | Callable[[], Image]],
        config: BaseConfig,
        rng: np.random.Generator,
    ) -> None:
        if not images:
            raise ValueError("an environment needs at least one image")
        self.images, self.config, self.rng = images, config, rng

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new pass; with `seed`, from a new generator. Returns observation and info."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self._passes = passes(self.images, self.rng)
        self.image: Image = next(self._passes)
        return self.image.state, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Upload at this action and at the reference; go on to the next image.

        No episode ends. Info has `accuracy`, `agreement`, `size_ratio`. Where the reference has no
        label, or an upload no answer, the first two are None and the reward is 0: do not learn it.
        """
        compressed, reference = self.image.upload(int(action), True)
        accuracy, agreement = measured(compressed, reference, self.config)
        info = {"accuracy": accuracy, "agreement": agreement, "size_ratio": None}
        reward = 0.0
        if reference is not None and reference.size:
            ratio = info["size_ratio"] = equations.size_ratio(compressed.size, reference.size)
            if accuracy is not None:
                reward = equations.reward(accuracy, ratio, self.config.alpha, self.config.beta)
        self.image = next(self._passes)
        return self.image.state, reward, False, False, info


def split(count: int, test_share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to test on, by image; at least one of each.

    Raises ValueError for fewer than two images.
    """
    if count < 2:
        raise ValueError(f"{count} image: at least two are needed to train on one and test another")
    order = rng.permutation(count)
    tested = min(max(1, round(count * test_share)), count - 1)
    return np.sort(order[tested:]), np.sort(order[:tested])
