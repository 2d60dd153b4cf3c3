"""The view of the project's own agent: E's features and how far compression moves them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ..imaging import codec
from ..imaging.encoding import REFERENCE, Encoding, parse_all
from ..imaging.extractor import Extractor, pool, tensor
from ..imaging.parallel import at_once
from ..imaging.read import Photo
from ..survival import drift
from ..survival.config import SurvivalConfig
from .heat import feature_gradient, map_gradient, signed
from .payloads import Payloads

PROBE = Encoding("jpeg", None, 5)
SIDE, GLANCE_SIDE = 160, 112  # pixels
CENTRE = 0.875  # of the shorter side: what classifiers usually cut out


def features(
    extractor: Extractor, picture: Image.Image, side: int = SIDE, part: float | None = None
) -> np.ndarray:
    """Pooled features of a picture, [channels]; `side` and `part` as in `extractor.tensor`."""
    view = tensor(picture, "bilinear", side, part)
    return pool(extractor.run(view[None]), "global")[0]


def look(
    extractor: Extractor,
    picture: Image.Image,
    encoded: Callable[[Encoding], bytes],
    *others: Callable[[], Any],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [channels] of an image, of what the probe leaves of it, and of a glance.

    `encoded` encodes this picture. `others` are done at the same time, in other threads.
    """

    def at_probe() -> np.ndarray:
        return features(extractor, codec.decode(encoded(PROBE), SIDE))

    def at_image() -> tuple[np.ndarray, np.ndarray]:
        small = codec.reduced(picture, SIDE)
        return features(extractor, small), features(extractor, small, GLANCE_SIDE, CENTRE)

    probe, (itself, glance), *_ = at_once([at_probe, at_image, *others], extractor.threads)
    return itself, probe, glance


def of_payloads(extractor: Extractor, itself: np.ndarray, payloads: list[bytes]) -> np.ndarray:
    """Drift [n, 2] of n payloads from the features [channels] of the image itself."""

    def moved(payload: bytes) -> np.ndarray:
        return drift.drift(features(extractor, codec.decode(payload, SIDE)), itself)

    jobs = [partial(moved, payload) for payload in payloads]
    return np.array(at_once(jobs, extractor.threads)).reshape(-1, drift.DRIFT)


def measured(
    extractor: Extractor, picture: Image.Image, payloads: list[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """All that a table keeps of an image: context [9], and drift [n, 2] of its payloads.

    `payloads`: n, and that of the reference behind them.
    """
    seen = look(extractor, picture, partial(codec.encode, picture))
    per_pixel = len(payloads[-1]) / (picture.width * picture.height)
    numbers = drift.context(*seen, per_pixel, min(picture.size))
    return numbers, of_payloads(extractor, seen[0], payloads[:-1])


class DriftView:
    """A `View`; states [A, inputs], a row for each action."""

    probe: Encoding | None = PROBE
    own_tables = True

    def __init__(self, config: SurvivalConfig, channels: int = 0) -> None:
        self.config = config
        self.encodings = parse_all(config.encodings)
        self.inputs = drift.row_length(config)

    def of_photo(self, photo: Photo, payloads: Payloads, extractor: Extractor) -> np.ndarray:
        """[A, inputs] float32."""
        picture, config = photo.picture, self.config
        actions = np.flatnonzero(self.open_actions(payloads.limits.formats)).tolist()
        sizes = payloads.weighings(actions)
        seen = look(extractor, picture, partial(payloads.encoded, own_tables=False), *sizes)
        ratios = payloads.ratios(actions)
        reference = payloads.size(REFERENCE, False)
        per_pixel = reference / (picture.width * picture.height)
        context = drift.context(*seen, per_pixel, min(picture.size))
        drifts = np.full((len(ratios), drift.DRIFT), np.log(drift.LEAST))  # of the file itself
        if config.own_drift:
            sent = {action: payloads.of(action) for action in np.flatnonzero(ratios < 1).tolist()}
            made = {action: data for action, (name, data) in sent.items() if name != "original"}
            drifts[list(made)] = of_payloads(extractor, seen[0], list(made.values()))
        return drift.rows(context, drifts, ratios, np.asarray(reference), config)

    def of_table(self, table: Any, rows: Any = slice(None), every: bool = False) -> np.ndarray:
        """[N, A, inputs]; of one row, [A, inputs]. The reference is the largest, as in Payloads."""
        open_actions = self.open_actions({each.format for each in table.source.encodings}) | every
        ratios = table.size_ratios(self.own_tables)
        ratios = np.where(open_actions, np.minimum(ratios[rows], 1), np.inf)
        seen = table.context[rows], table.drift[rows]
        return drift.rows(*seen, ratios, table.bytes[rows, -1], self.config)

    def open_actions(self, formats: Collection[str]) -> np.ndarray:
        """Which actions can be taken with a service that takes `formats`, [A] bool.

        Where WebP can be sent, a JPEG made smaller is not worth looking at.
        """
        webp = "webp" in formats and any(each.format == "webp" for each in self.encodings)
        smaller = ("webp",) if webp else formats
        return np.array(
            [each.format in (smaller if each.short_side else formats) for each in self.encodings]
        )

    def stamp(self, sha256: str) -> dict[str, Any]:
        """How states are made by the extractor of this hash; an agent fits no other."""
        glance = [CENTRE, GLANCE_SIDE]
        return {"sha256": sha256, "input_size": SIDE, "probe": PROBE.name, "glance": glance}

    def heat(
        self, agent: Any, photo: Photo, state: np.ndarray, action: int, extractor: Extractor
    ) -> np.ndarray:
        """AC-9 of P(labels survive): [5, 5] in [-1, 1], of what is measured for this action."""
        encoding = self.encodings[action] if self.config.own_drift else PROBE
        payload = codec.decode(codec.encode(photo.picture, encoding), SIDE)
        pair = payload, codec.reduced(photo.picture, SIDE)
        maps = extractor.run(np.stack([tensor(picture, "bilinear", SIDE) for picture in pair]))
        row = state[action]
        by_drift = drift.by_whole(agent.survival_gradient(row), row, self.config)
        feature, reference = pool(maps, "global")
        by_feature = feature_gradient(feature, reference, by_drift)
        return signed(map_gradient(by_feature, maps[0], "global"), maps[0])
