"""The state of the project's own agent, in numbers: how compression moves the features of E.

The summary's `E(J(x, c))` taken at its word: not what the image shows, but how far its features
move when it is compressed tells whether labels survive. So E looks at the whole image, made square,
and at what a probe leaves of it. The cells in the middle of its map count once more, as most
services look there. NumPy alone; views/drift.py looks at photographs.
"""

from __future__ import annotations

import numpy as np

from .config import SurvivalConfig

STRONGEST = 20  # features
CONTEXT = 9  # numbers of an image
LEAST = 1e-4  # of which a logarithm is taken
LOG_REFERENCE = -3  # where a row has the logarithm of the reference's bytes
OF_PROBE = 2  # where the context has log(1 - cosine) of it

# Rounded means and spreads over photographs, so that what is learned from is near 0 and 1.
_MEAN = np.array([3.2, 1.1, -1.2, 3.1, 3.8, 1.6, -3.5, -1.7, 5.9])
_SPREAD = np.array([0.2, 0.1, 0.5, 0.3, 0.2, 0.1, 0.3, 0.4, 0.3])


def drift(of_payload: np.ndarray, itself: np.ndarray) -> np.ndarray:
    """Features [..., channels] -> log(1 - cosine) and log distance, [..., 2]."""
    distance = np.linalg.norm(of_payload - itself, axis=-1)
    return np.stack([_log(_one_minus_cosine(of_payload, itself)), _log(distance)], axis=-1)


def context(
    features: tuple[np.ndarray, ...], reference: int, width: int, height: int
) -> np.ndarray:
    """What all actions share, [9] float32, from three times [channels], bytes and pixels.

    Of the whole: log norm, log mean of the strongest features, drift of the probe. Of the centre:
    log norm, log mean of the strongest, log(1 - cosine) to the whole. Then log bytes per pixel of
    the reference, and log of the shorter side.
    """
    itself, of_probe, centre = features
    whole = [*_strength(itself), *drift(of_probe, itself)]
    middle = [*_strength(centre), _log(_one_minus_cosine(centre, itself))]
    per_pixel = reference / (width * height)
    return np.array([*whole, *middle, np.log(per_pixel), np.log(min(width, height))], np.float32)


def _strength(features: np.ndarray) -> list[np.ndarray]:
    strongest = np.partition(features, -STRONGEST)[-STRONGEST:]
    return [_log(np.linalg.norm(features)), _log(strongest.mean())]


def rows(context: np.ndarray, ratios: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The state: context [..., 9], ds [..., A], bytes [...] -> [..., A, inputs] float32.

    A row: context, which action it is, log of the reference's bytes, log ds and ds, which are
    infinite where it cannot be taken.
    """
    actions = ratios.shape[-1]
    state = np.empty((*ratios.shape, row_length(actions)), np.float32)
    state[..., :CONTEXT] = ((context - _MEAN) / _SPREAD)[..., None, :]
    state[..., CONTEXT:LOG_REFERENCE] = np.eye(actions)
    state[..., LOG_REFERENCE] = np.log(reference)[..., None]
    state[..., -2], state[..., -1] = np.log(ratios), ratios
    return state


def expand(rows: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    """What logit P is linear in: rows [..., inputs] -> x [..., d].

    All but the reference's bytes; products of the action with the probe's drift and with log ds.
    Numbers of images lie within 4 spreads.
    """
    which = _which(rows, config)
    image = np.clip(rows[..., : -len(config.encodings) + LOG_REFERENCE], -4, 4)
    sizes = np.nan_to_num(rows[..., LOG_REFERENCE + 1 :], posinf=0.0)  # log ds, ds
    probe = image[..., OF_PROBE, None]
    return np.concatenate([image, which, sizes, which * probe, which * sizes[..., :1]], axis=-1)


def unchanged(rows: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    """Whether a payload has the pixels of the reference, rows [..., inputs] -> [...] bool.

    It is quality 75 at full size, or the reference itself, in place of what would be larger.
    """
    same = np.array([name == "jpeg-q75" for name in config.encodings])
    return (_which(rows, config) @ same > 0.5) | (rows[..., -1] == 1)


def _which(rows: np.ndarray, config: SurvivalConfig) -> np.ndarray:
    return rows[..., -len(config.encodings) + LOG_REFERENCE : LOG_REFERENCE]


def by_whole(by_row: np.ndarray, row: np.ndarray) -> np.ndarray:
    """From a gradient by a row [inputs], that by the probe's drift [2]; 0 at its least."""
    place = slice(OF_PROBE, OF_PROBE + 2)
    moves = row[place] * _SPREAD[place] + _MEAN[place] > np.log(LEAST) + 1e-5  # rows are float32
    return np.where(moves, by_row[place] / _SPREAD[place], 0)


def row_length(actions: int) -> int:
    """Numbers in a row of `rows`."""
    return CONTEXT + actions - LOG_REFERENCE


def _one_minus_cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return 1 - (one * other).sum(axis=-1) / np.maximum(lengths, 1e-6)


def _log(values: np.ndarray | np.floating) -> np.ndarray:
    return np.log(np.maximum(values, LEAST))
