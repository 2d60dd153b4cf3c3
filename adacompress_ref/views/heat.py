"""Grad-CAM (AC-9) by hand: the gradient of a Q-value down to E's feature map, link by link.

Where the state is drift, that of P(labels survive), down to the map of what the probe leaves of the
image. The map is the one after the last ReLU6, as E's batch norms are folded into its weights;
the authors take the one before both.
"""

from __future__ import annotations

import numpy as np

from ..core import equations
from ..imaging.extractor import CORNER


def signed(gradient: np.ndarray, feature_map: np.ndarray) -> np.ndarray:
    """AC-9 in [-1, 1]: gradient and map [channels, rows, columns] -> [rows, columns].

    Scaled by its largest magnitude, so that 0 stays what speaks neither for nor against.
    """
    heat = equations.grad_cam(gradient, feature_map)
    return heat / (np.abs(heat).max() or 1.0)


def map_gradient(by_feature: np.ndarray, feature_map: np.ndarray, pooling: str) -> np.ndarray:
    """From a gradient by pool(map), [channels], that by the map [channels, rows, columns].

    Each cell has an equal share in the mean that `pool` takes; a cell left out has none.
    """
    gradient = np.zeros_like(feature_map)
    pooled = gradient[:, :CORNER, :CORNER] if pooling == "corner" else gradient
    pooled += by_feature[:, None, None] / pooled[0].size
    return gradient


def feature_gradient(
    feature: np.ndarray, reference: np.ndarray, by_drift: np.ndarray
) -> np.ndarray:
    """dP/dfeature through the two numbers of `drift.drift`; features [channels].

    `by_drift`: dP/d(log(1 - cosine)) and dP/d(log distance).
    """
    length, moved = np.linalg.norm(feature), feature - reference
    unit, other = feature / length, reference / np.linalg.norm(reference)
    cosine = float(unit @ other)
    by_cosine = -by_drift[0] / max(1 - cosine, 1e-4)
    by_distance = by_drift[1] / max(float(moved @ moved), 1e-8)
    return by_cosine * (other - cosine * unit) / length + by_distance * moved
