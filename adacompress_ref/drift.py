"""The state of the presets `tuned` and `ladder`: how compression moves the features of E.

The summary's `E(J(x, c))` taken at its word. What tells whether labels survive is not what the
image shows but how far its features move when it is compressed, so the state holds the distances
between features of a payload and those of the reference, seen in two views of 160 x 160 pixels:
the centre, where most services look, and the whole image. How far the two views are from each
other says how much the content depends on the place one looks at.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from . import images
from .config import Config, Encoding
from .extractor import INPUT_SIZE, Extractor

PROBES = tuple(Encoding("jpeg", None, quality) for quality in (5, 15, 25))
SIDE = 160  # pixels of a view
CENTRE = 0.875  # of the shorter side: what classifiers usually cut out
STRONGEST = 20  # features
CONTEXT = 19  # numbers of an image: what `context` returns
DRIFT = 4  # numbers of a payload: what `drift` returns
LEAST = 1e-4  # of which a logarithm is taken
NONE = np.full(DRIFT, np.log(LEAST), np.float32)  # the drift of the reference itself

# Rounded means and spreads over photographs, so that the network's inputs are near 0 and 1.
_VIEW = ([3.2, 1.1, -1.1, 3.1, -2.5, 2.3, -3.2, 2.0], [0.2, 0.1, 0.5, 0.3, 0.6, 0.4, 0.6, 0.4])
_MEAN = np.array([*_VIEW[0], *_VIEW[0], -1.8, -1.7, 5.9], np.float32)
_SPREAD = np.array([*_VIEW[1], *_VIEW[1], 0.4, 0.4, 0.3], np.float32)
_DRIFT_MEAN = np.array([-2.5, 2.3, -2.5, 2.3], np.float32)
_DRIFT_SPREAD = np.array([0.8, 0.4, 0.8, 0.4], np.float32)


def features(extractor: Extractor, photos: list[np.ndarray]) -> np.ndarray:
    """Pixels of n images -> pooled features of both views, centre first, [n, 2, channels]."""
    boxes = []
    for pixels in photos:
        height, width = pixels.shape[:2]
        cut = min(height, width) * CENTRE
        left, top = (width - cut) / 2, (height - cut) / 2
        boxes.append([(left, top, left + cut, top + cut), (0, 0, width, height)])
    views = [
        images.resized(pixels, (SIDE, SIDE), "bilinear", box)
        for pixels, pair in zip(photos, boxes, strict=True)
        for box in pair
    ]
    pooled = extractor.maps(views, "bilinear", SIDE).mean(axis=(2, 3))  # [2 n, channels]
    return pooled.reshape(len(photos), 2, -1)


def drift(of_payload: np.ndarray, of_reference: np.ndarray) -> np.ndarray:
    """Features [..., 2, channels] of payloads and of the reference -> [..., 4].

    For each view: log(1 - cosine), log distance.
    """
    distance = np.linalg.norm(of_payload - of_reference, axis=-1)  # [..., 2]
    pair = _log(_one_minus_cosine(of_payload, of_reference)), _log(distance)
    return np.stack(pair, axis=-1).reshape(*distance.shape[:-1], DRIFT)


def context(
    of_reference: np.ndarray, of_probes: np.ndarray, reference_bytes: int, shape: tuple[int, ...]
) -> np.ndarray:
    """What all actions share: features [2, channels], [3, 2, channels] -> [19].

    For each view: log norm, log mean of the strongest features, drift of each probe. Then the
    log distance between the views, log bytes per pixel of the reference, log of the shorter side.
    """
    strongest = np.sort(of_reference, axis=1)[:, -STRONGEST:].mean(axis=1)  # [2]
    norms = np.linalg.norm(of_reference, axis=1)  # [2]
    drifts = drift(of_probes, of_reference).reshape(len(PROBES), 2, 2)  # [probe, view, number]
    numbers = []
    for view in range(2):
        numbers += [_log(norms[view]), _log(strongest[view]), *drifts[:, view].ravel()]
    numbers.append(_log(_one_minus_cosine(of_reference[0], of_reference[1])))
    numbers += [np.log(reference_bytes / (shape[0] * shape[1])), np.log(min(shape[:2]))]
    return np.array(numbers, np.float32)


def measured(
    extractor: Extractor, pixels: np.ndarray, reference: bytes, payloads: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Context [19] of an image, and drift [n, 4] of n payloads, given as pixels."""
    probes = [images.decode(images.encode(pixels, probe)) for probe in PROBES]
    seen = features(extractor, [images.decode(reference), *probes, *payloads])  # [n, 2, channels]
    of_probes, of_payloads = seen[1 : len(PROBES) + 1], seen[len(PROBES) + 1 :]
    numbers = context(seen[0], of_probes, len(reference), pixels.shape)
    return numbers, drift(of_payloads, seen[0])


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
    """The state: context [..., 19], drift [..., A, 4], ds [..., A] -> [..., A, inputs].

    A row: context, the action's own drift where the preset has it, which action it is, log ds
    and ds. `ds` is infinite for an action that cannot be taken.
    """
    actions = ratios.shape[-1]
    shared = np.broadcast_to(((context - _MEAN) / _SPREAD)[..., None, :], (*ratios.shape, CONTEXT))
    parts = [shared]
    if config.own_drift:
        parts.append((drift - _DRIFT_MEAN) / _DRIFT_SPREAD)
    parts.append(np.broadcast_to(np.eye(actions), (*ratios.shape, actions)))
    parts += [np.log(ratios)[..., None], ratios[..., None]]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def by_whole_view(by_row: np.ndarray, config: Config, encoding: Encoding) -> np.ndarray:
    """From a gradient by a row [inputs], that by the drift of the whole view, [2], unscaled.

    `encoding` is a probe, or with `own_drift` the action itself.
    """
    if config.own_drift:
        return by_row[CONTEXT + 2 : CONTEXT + 4] / _DRIFT_SPREAD[2:]
    first = len(_VIEW[0]) + 2 + 2 * PROBES.index(encoding)
    return by_row[first : first + 2] / _SPREAD[first : first + 2]


def row_length(config: Config) -> int:
    """Numbers in a row of `rows`."""
    return CONTEXT + DRIFT * config.own_drift + len(config.encodings) + 2


def preprocessing(sha256: str, config: Config) -> dict[str, Any]:
    """How states are made by the extractor of this hash; an agent fits no other."""
    if config.state == "drift":
        probes = [probe.name for probe in PROBES]
        return {"sha256": sha256, "input_size": SIDE, "views": [CENTRE, 1], "probes": probes}
    return {
        "sha256": sha256,
        "input_size": INPUT_SIZE,
        "resize": config.resize,
        "pooling": config.pooling,
    }


def _one_minus_cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return 1 - (one * other).sum(axis=-1) / np.maximum(lengths, 1e-6)


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, LEAST))
