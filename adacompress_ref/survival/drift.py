"""The state of the project's own agent, in numbers: how compression moves the features of E.

The summary's `E(J(x, c))` taken at its word: not what the image shows, but how far its features
move when it is compressed tells whether labels survive. So E looks at the whole image, made square,
and at what a probe leaves of it; and it glances at the centre, where most services look, as content
may depend on the place. NumPy alone; views/drift.py looks at photographs.
"""

from __future__ import annotations

import numpy as np

from .config import SurvivalConfig

STRONGEST = 20  # features
CONTEXT = 9  # numbers of an image
DRIFT = 2  # numbers of a payload
LEAST = 1e-4  # of which a logarithm is taken
LOG_REFERENCE = -3  # where a row has the logarithm of the reference's bytes
OF_PROBE, OF_GLANCE = 2, 6  # where the context has log(1 - cosine) of them

# Rounded means and spreads over photographs, so that the network's inputs are near 0 and 1.
_MEAN = np.array([3.2, 1.1, -1.2, 3.1, 3.9, 1.7, -1.5, -1.7, 5.9])
_SPREAD = np.array([0.2, 0.1, 0.5, 0.3, 0.2, 0.1, 0.3, 0.4, 0.3])
_DRIFT_MEAN = np.array([-2.5, 2.3])
_DRIFT_SPREAD = np.array([0.8, 0.4])


def drift(of_payload: np.ndarray, itself: np.ndarray) -> np.ndarray:
    """Features [..., channels] -> log(1 - cosine) and log distance, [..., 2]."""
    distance = np.linalg.norm(of_payload - itself, axis=-1)
    return np.stack([_log(_one_minus_cosine(of_payload, itself)), _log(distance)], axis=-1)


def context(
    itself: np.ndarray, of_probe: np.ndarray, glance: np.ndarray, bytes_per_pixel: float, side: int
) -> np.ndarray:
    """What all actions share, from features [channels] -> [9].

    Of the whole: log norm, log mean of the strongest features, drift of the probe. Of the glance:
    log norm, log mean of the strongest, log(1 - cosine) to the whole. Then log bytes per pixel of
    the reference, and log of the shorter side in pixels.
    """
    whole = [*_strength(itself), *drift(of_probe, itself)]
    centre = [*_strength(glance), _log(_one_minus_cosine(glance, itself))]
    return np.array([*whole, *centre, np.log(bytes_per_pixel), np.log(side)], np.float32)


def _strength(features: np.ndarray) -> list[np.ndarray]:
    strongest = np.partition(features, -STRONGEST)[-STRONGEST:]
    return [_log(np.linalg.norm(features)), _log(strongest.mean())]


def rows(
    context: np.ndarray,
    drift: np.ndarray,
    ratios: np.ndarray,
    reference: np.ndarray,
    config: SurvivalConfig,
) -> np.ndarray:
    """The state: context [..., 9], drift [..., A, 2], ds [..., A] -> [..., A, inputs].

    A row: context, with `own_drift` the action's own (none where the reference stands in, ds 1),
    which action it is, log of the reference's bytes [...], log ds and ds, which are infinite where
    it cannot be taken.
    """
    actions = ratios.shape[-1]
    shared = ((context - _MEAN) / _SPREAD)[..., None, :]
    parts = [np.broadcast_to(shared, (*ratios.shape, shared.shape[-1]))]
    if config.own_drift:
        own = np.where((ratios >= 1)[..., None], _log(np.zeros(DRIFT)), drift)
        parts.append((own - _DRIFT_MEAN) / _DRIFT_SPREAD)
    parts.append(np.broadcast_to(np.eye(actions), (*ratios.shape, actions)))
    parts.append(np.broadcast_to(np.log(reference)[..., None, None], (*ratios.shape, 1)))
    parts += [np.log(ratios)[..., None], ratios[..., None]]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def expand(rows: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    """What logit P is linear in: rows [..., inputs] -> x [..., d].

    All but the reference's bytes; products of the action with the probe's drift and with log ds; of
    its own drift with itself, the probe's and the content. Numbers of images lie within 4 spreads.
    """
    which = _which(rows, config)
    image = np.clip(rows[..., : -len(config.encodings) + LOG_REFERENCE], -4, 4)
    sizes = np.nan_to_num(rows[..., LOG_REFERENCE + 1 :], posinf=0.0)  # log ds, ds
    probe = image[..., OF_PROBE, None]
    parts = [image, which, sizes, which * probe, which * sizes[..., :1]]
    if config.own_drift:
        own = image[..., CONTEXT, None]
        parts += [own * own, own * probe, own * image[..., OF_GLANCE, None]]
    return np.concatenate(parts, axis=-1)


def unchanged(rows: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    """Whether a payload has the pixels of the reference, rows [..., inputs] -> [...] bool.

    It is quality 75 at full size, or the reference itself, in place of what would be larger.
    """
    same = np.array([name == "jpeg-q75" for name in config.encodings])
    return (_which(rows, config) @ same > 0.5) | (rows[..., -1] == 1)


def _which(rows: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    return rows[..., -len(config.encodings) + LOG_REFERENCE : LOG_REFERENCE]


def by_whole(by_row: np.ndarray, row: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    """From a gradient by a row [inputs], that by the drift of the whole image, [2], unscaled.

    The drift of the probe, or with `own_drift` of the action itself; 0 where it is at its least.
    """
    place, mean, spread = slice(2, 4), _MEAN[2:4], _SPREAD[2:4]
    if config.own_drift:
        place, mean, spread = slice(CONTEXT, CONTEXT + DRIFT), _DRIFT_MEAN, _DRIFT_SPREAD
    moves = row[place] * spread + mean > np.log(LEAST) + 1e-5  # rows are float32
    return np.where(moves, by_row[place] / spread, 0)


def row_length(config: SurvivalConfig) -> int:
    """Numbers in a row of `rows`."""
    return CONTEXT + DRIFT * config.own_drift + len(config.encodings) - LOG_REFERENCE


def _one_minus_cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return 1 - (one * other).sum(axis=-1) / np.maximum(lengths, 1e-6)


def _log(values: np.ndarray | np.floating) -> np.ndarray:
    return np.log(np.maximum(values, LEAST))
