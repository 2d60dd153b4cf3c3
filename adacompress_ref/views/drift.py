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
SIDE = 160  # pixels


def seen(extractor: Extractor, picture: Image.Image) -> np.ndarray:
    """E's map of the whole picture, [1, channels, 5, 5]."""
    return extractor.run(tensor(picture, "bilinear", SIDE)[None])


def probed(picture: Image.Image, encoded: Callable[[Encoding], bytes]) -> Image.Image:
    """What the probe leaves of a picture, at the scale that E looks at."""
    if codec.factor(picture.size, SIDE) == 8:
        return codec.coarse(codec.reduced(picture, SIDE))
    return codec.decode(encoded(PROBE), SIDE)


def look(
    extractor: Extractor,
    picture: Image.Image,
    encoded: Callable[[Encoding], bytes],
    *others: Callable[[], Any],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [channels] of an image, of what the probe leaves of it, and of its centre.

    `encoded` encodes this picture. `others` are done at the same time, in other threads.
    """
    jobs = [
        lambda: seen(extractor, probed(picture, encoded)),
        lambda: seen(extractor, codec.reduced(picture, SIDE)),
    ]
    probe, itself, *_ = at_once([*jobs, *others], extractor.threads)
    return pool(itself, "global")[0], pool(probe, "global")[0], pool(itself, "centre")[0]


def context(extractor: Extractor, picture: Image.Image, reference: int) -> np.ndarray:
    """What a table keeps of an image [9] whose reference has so many bytes."""
    features = look(extractor, picture, partial(codec.encode, picture))
    return drift.context(features, reference, *picture.size)


class DriftView:
    """A `View`; states [A, inputs], a row for each action."""

    probe: Encoding | None = PROBE
    own_tables = True

    def __init__(self, config: SurvivalConfig, channels: int = 0) -> None:
        self.config = config
        self.encodings = parse_all(config.encodings)
        self.inputs = drift.row_length(len(self.encodings))

    def of_photo(self, photo: Photo, payloads: Payloads, extractor: Extractor) -> np.ndarray:
        """[A, inputs] float32."""
        actions = np.flatnonzero(self.open_actions(payloads.limits.formats)).tolist()
        encoded = partial(payloads.encoded, own_tables=False)
        features = look(extractor, photo.picture, encoded, *payloads.weighings(actions))
        reference = payloads.size(REFERENCE, False)
        numbers = drift.context(features, reference, *photo.picture.size)
        return drift.rows(numbers, payloads.ratios(actions), np.asarray(reference))

    def of_table(self, table: Any, rows: Any = slice(None), every: bool = False) -> np.ndarray:
        """[N, A, inputs]; of one row, [A, inputs]. The reference is the largest, as in Payloads."""
        open_actions = self.open_actions({each.format for each in table.source.encodings}) | every
        ratios = table.size_ratios(self.own_tables)
        ratios = np.where(open_actions, np.minimum(ratios[rows], 1), np.inf)
        return drift.rows(table.context[rows], ratios, table.bytes[rows, -1])

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
        return {"sha256": sha256, "input_size": SIDE, "probe": PROBE.name, "centre": "3 x 3"}

    def heat(
        self, agent: Any, photo: Photo, state: np.ndarray, action: int, extractor: Extractor
    ) -> np.ndarray:
        """AC-9 of P(labels survive): [5, 5] in [-1, 1], of what the probe leaves of the image."""
        probe = probed(photo.picture, partial(codec.encode, photo.picture))
        feature_map = seen(extractor, probe)[0]
        reference = pool(seen(extractor, codec.reduced(photo.picture, SIDE)), "global")[0]
        by_drift = drift.by_whole(agent.survival_gradient(state[action]), state[action])
        by_feature = feature_gradient(feature_map.mean(axis=(1, 2)), reference, by_drift)
        return signed(map_gradient(by_feature, feature_map, "global"), feature_map)
