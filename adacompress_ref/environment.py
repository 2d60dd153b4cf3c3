"""{X, M} as an environment: images, live or recorded, and Gymnasium's `reset` and `step`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from . import drift, equations, images
from .config import REFERENCE, Config
from .controller import Image, Upload
from .extractor import Extractor
from .files import ImageError
from .images import Photo
from .services import Service, ask, formats
from .table import Table


class LiveImage:
    """A photograph, as the controller and the environment see it: a state, and uploads.

    Without a `service` it can be encoded but not uploaded; `taken` are then the formats that may
    be sent, by default JPEG.
    """

    def __init__(
        self,
        photo: Photo,
        config: Config,
        extractor: Extractor,
        service: Service | None = None,
        exif: bytes | None = None,
        taken: Collection[str] | None = None,
    ) -> None:
        self.photo = photo
        self.config = config
        self.extractor = extractor
        self.service = service
        self.exif = exif
        self.formats = formats(service) if taken is None else taken
        self._payloads: dict[int, tuple[str, bytes]] = {}

    @cached_property
    def state(self) -> np.ndarray:
        """s = E(x) [1280], or a row for each action [A, inputs] (drift.py)."""
        if self.config.state == "features":
            return self.extractor.state(self.photo.pixels, self.config)
        ratios = np.full(len(self.config.encodings), np.inf)
        drifts = np.zeros((len(ratios), drift.DRIFT), np.float32)
        seen: dict[int, np.ndarray] = {}  # pixels of each action
        refused = f"the agent has no encoding in a format taken here: {', '.join(self.formats)}"
        for action in np.flatnonzero(drift.open_actions(self.config, self.formats)).tolist():
            try:
                name, payload = self.payload(action)
            except ImageError as error:  # another encoding may hold it
                refused = str(error)
                continue
            ratios[action] = len(payload) / len(self.reference)
            if self.config.own_drift:
                original = name == "original"
                seen[action] = self.photo.pixels if original else images.decode(payload)
        if np.isinf(ratios).all():
            raise ImageError(f"{self.photo.name}: cannot be sent ({refused})")
        pixels = self.photo.pixels
        plain = images.encode(pixels, REFERENCE) if self.exif else self.reference
        context, found = drift.measured(self.extractor, pixels, plain, list(seen.values()))
        drifts[list(seen)] = found
        return drift.rows(context, drifts, ratios, self.config)

    @cached_property
    def reference(self) -> bytes:
        """The payload that every size is compared with."""
        return images.encode(self.photo.pixels, REFERENCE, self.exif)

    def payload(self, action: int) -> tuple[str, bytes]:
        """The name of what is sent and its bytes: J(x, c), or `original` where that is smaller."""
        if action not in self._payloads:
            encoding = self.config.encodings[action]
            name, payload = encoding.name, images.encode(self.photo.pixels, encoding, self.exif)
            if self.config.state == "drift" and len(payload) > len(self.reference):
                name, payload = REFERENCE.name, self.reference
            if images.original_is_enough(self.photo, payload, self.formats):
                name, payload = "original", self.photo.file
            self._payloads[action] = name, payload
        return self._payloads[action]

    def upload(self, action: int | None) -> Upload:
        """Send the payload of an action, or the reference for None. Raises ServiceError."""
        if self.service is None:
            raise TypeError("this image was opened without a service")
        payload = self.reference if action is None else self.payload(action)[1]
        return Upload(len(payload), ask(self.service, payload))


class RecordedImage:
    """Row `index` of a table, whose uploads have been made before."""

    def __init__(self, table: Table, index: int, config: Config) -> None:
        self.table = table
        self.index = index
        self.config = config
        self.state = table.states(config, index, every=True)  # [1280] or [A, inputs]

    def upload(self, action: int | None) -> Upload:
        """The recorded upload of an action, or of the reference for None."""
        sizes = self.table.bytes[self.index]  # [A + 1]
        column = -1 if action is None else action
        if self.config.state == "drift" and sizes[column] > sizes[-1]:
            column = -1  # as in LiveImage.payload
        return Upload(int(sizes[column]), self.table.answers(self.index, column))


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
        `accuracy`, `agreement`, `size_ratio`. Where the reference has no label, accuracy and
        agreement are None and the reward is 0: keep it out of learning.
        """
        compressed, reference = self.image.upload(int(action)), self.image.upload(None)
        names = [label.name for label in reference.labels]
        answers = [label.name for label in compressed.labels]
        accuracy = equations.accuracy(names, answers, self.config.reference_labels)
        ratio = equations.size_ratio(compressed.size, reference.size)
        info = {
            "accuracy": accuracy,
            "agreement": equations.agreement(names, answers),
            "size_ratio": ratio,
        }
        reward = 0.0
        if accuracy is not None:
            reward = equations.reward(accuracy, ratio, self.config.alpha, self.config.beta)
        self._next()
        return self.image.state, reward, False, False, info
