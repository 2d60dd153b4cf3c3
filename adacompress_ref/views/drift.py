"""The state of the presets `tuned`, `fast` and `ladder`: how compression moves the features of E.

The summary's `E(J(x, c))` taken at its word. What tells whether labels survive is not what the
image shows but how far its features move when it is compressed. So E looks at the whole image,
made square, and at what a probe, JPEG quality 5, leaves of it; and it glances at the centre, where
most services look. How far the glance is from the whole says how much the content depends on the
place one looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ..core.config import Config, Encoding
from ..imaging import codec
from ..imaging.extractor import INPUT_SIZE, Extractor, pool, tensor
from ..imaging.parallel import at_once

PROBE = Encoding("jpeg", None, 5)
SIDE, GLANCE_SIDE = 160, 112  # pixels
CENTRE = 0.875  # of the shorter side: what classifiers usually cut out
STRONGEST = 20  # features
CONTEXT, WITHOUT_GLANCE = 9, [0, 1, 2, 3, 7, 8]  # numbers of an image; those without a glance
DRIFT = 2  # numbers of a payload
LEAST = 1e-4  # of which a logarithm is taken

# Rounded means and spreads over photographs, so that the network's inputs are near 0 and 1.
_MEAN = np.array([3.2, 1.1, -1.2, 3.1, 3.9, 1.7, -1.5, -1.7, 5.9])
_SPREAD = np.array([0.2, 0.1, 0.5, 0.3, 0.2, 0.1, 0.3, 0.4, 0.3])
_DRIFT_MEAN = np.array([-2.5, 2.3])
_DRIFT_SPREAD = np.array([0.8, 0.4])


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
    glance: bool,
    *others: Callable[[], Any],
) -> list[np.ndarray]:
    """Features of an image, of what the probe leaves of it, and of a glance: 2 or 3 of [channels].

    `encoded` encodes this picture. `others` are done at the same time, in other threads.
    """

    def of_probe() -> list[np.ndarray]:
        return [features(extractor, codec.decode(encoded(PROBE), SIDE))]

    def of_image() -> list[np.ndarray]:
        small = codec.reduced(picture, SIDE)
        views = [(SIDE, None), (GLANCE_SIDE, CENTRE)][: 1 + glance]
        return [features(extractor, small, *view) for view in views]

    probe, (itself, *glances), *_ = at_once([of_probe, of_image, *others], extractor.threads)
    return [itself, *probe, *glances]


def of_payloads(extractor: Extractor, itself: np.ndarray, payloads: list[bytes]) -> np.ndarray:
    """Drift [n, 2] of n payloads from the features [channels] of the image itself."""

    def of_one(payload: bytes) -> np.ndarray:
        return drift(features(extractor, codec.decode(payload, SIDE)), itself)

    found = at_once([partial(of_one, each) for each in payloads], extractor.threads)
    return np.array(found).reshape(-1, DRIFT)


def drift(of_payload: np.ndarray, itself: np.ndarray) -> np.ndarray:
    """Features [..., channels] -> log(1 - cosine) and log distance, [..., 2]."""
    distance = np.linalg.norm(of_payload - itself, axis=-1)
    return np.stack([_log(_one_minus_cosine(of_payload, itself)), _log(distance)], axis=-1)


def context(seen: list[np.ndarray], bytes_per_pixel: float, side: int) -> np.ndarray:
    """What all actions share: the features of `look` -> [9].

    Of the whole: log norm, log mean of the strongest features, drift of the probe. Of the glance
    (NaN without one): log norm, log mean of the strongest, log(1 - cosine) to the whole. Then log
    bytes per pixel of the reference, and log of the shorter side in pixels.
    """
    itself, of_probe, *glances = seen
    numbers = [*_strength(itself), *drift(of_probe, itself)]
    for glance in glances:
        numbers += [*_strength(glance), _log(_one_minus_cosine(glance, itself))]
    numbers += [np.nan] * (CONTEXT - 2 - len(numbers))
    return np.array([*numbers, np.log(bytes_per_pixel), np.log(side)], np.float32)


def _strength(features: np.ndarray) -> list[Any]:
    strongest = np.partition(features, -STRONGEST)[-STRONGEST:]
    return [_log(np.linalg.norm(features)), _log(strongest.mean())]


def measured(
    extractor: Extractor, picture: Image.Image, payloads: list[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """All that a table keeps of an image: context [9], and drift [n, 2] of its payloads.

    `payloads`: n, and that of the reference behind them.
    """
    seen = look(extractor, picture, partial(codec.encode, picture), True)
    per_pixel = len(payloads[-1]) / (picture.width * picture.height)
    numbers = context(seen, per_pixel, min(picture.size))
    return numbers, of_payloads(extractor, seen[0], payloads[:-1])


def open_actions(config: Config, formats: Collection[str]) -> np.ndarray:
    """Which actions can be taken with a service that takes `formats`, [A] bool.

    Where WebP can be sent, a JPEG made smaller is not worth looking at.
    """
    webp = "webp" in formats and any(each.format == "webp" for each in config.encodings)
    return np.array(
        [
            each.format == "webp" if webp and each.short_side else each.format in formats
            for each in config.encodings
        ]
    )


def rows(context: np.ndarray, drift: np.ndarray, ratios: np.ndarray, config: Config) -> np.ndarray:
    """The state: context [..., 9], drift [..., A, 2], ds [..., A] -> [..., A, inputs].

    A row: context, the action's own drift where the preset has it (none where the reference
    stands in, ds 1), which action it is, log ds and ds. `ds` is infinite for an action that cannot
    be taken.
    """
    actions = ratios.shape[-1]
    shared = ((context - _MEAN) / _SPREAD)[..., None, _taken(config)]
    parts = [np.broadcast_to(shared, (*ratios.shape, shared.shape[-1]))]
    if config.own_drift:
        own = np.where((ratios >= 1)[..., None], _log(np.zeros(DRIFT)), drift)
        parts.append((own - _DRIFT_MEAN) / _DRIFT_SPREAD)
    parts.append(np.broadcast_to(np.eye(actions), (*ratios.shape, actions)))
    parts += [np.log(ratios)[..., None], ratios[..., None]]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def by_whole(by_row: np.ndarray, config: Config) -> np.ndarray:
    """From a gradient by a row [inputs], that by the drift of the whole image, [2], unscaled.

    The drift of the probe, or with `own_drift` of the action itself.
    """
    if config.own_drift:
        first = len(_taken(config))
        return by_row[first : first + 2] / _DRIFT_SPREAD
    return by_row[2:4] / _SPREAD[2:4]


def row_length(config: Config) -> int:
    """Numbers in a row of `rows`."""
    return len(_taken(config)) + DRIFT * config.own_drift + len(config.encodings) + 2


def _taken(config: Config) -> list[int]:
    return list(range(CONTEXT)) if config.glance else WITHOUT_GLANCE


def preprocessing(sha256: str, config: Config) -> dict[str, Any]:
    """How states are made by the extractor of this hash; an agent fits no other."""
    if config.state == "drift":
        made = {"sha256": sha256, "input_size": SIDE, "probe": PROBE.name}
        return made | ({"glance": [CENTRE, GLANCE_SIDE]} if config.glance else {})
    return {
        "sha256": sha256,
        "input_size": INPUT_SIZE,
        "resize": config.resize,
        "pooling": config.pooling,
    }


def _one_minus_cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return 1 - (one * other).sum(axis=-1) / np.maximum(lengths, 1e-6)


def _log(values: np.ndarray | np.floating) -> np.ndarray:
    return np.log(np.maximum(values, LEAST))
