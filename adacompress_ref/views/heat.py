"""Grad-CAM (AC-9) by hand: the gradient of a Q-value down to E's feature map.

Where the state is drift, that of P(labels survive), down to the map of the payload that the row was
made of. The map is the one after the last ReLU6, as E's batch norms are folded into its weights;
the authors take the one before both.
"""

from __future__ import annotations

import numpy as np

from ..core import equations
from ..core.qnetwork import QNetwork
from ..imaging.extractor import CORNER, pool


def signed(gradient: np.ndarray, feature_map: np.ndarray) -> np.ndarray:
    """AC-9 in [-1, 1]: gradient and map [channels, rows, columns] -> [rows, columns].

    Scaled by its largest magnitude, so that 0 stays what speaks neither for nor against.
    """
    heat = equations.grad_cam(gradient, feature_map)
    return heat / (np.abs(heat).max() or 1.0)


def map_gradient(
    network: QNetwork, feature_map: np.ndarray, action: int, pooling: str
) -> np.ndarray:
    """dQ(s, c)/dmap, where s = pool(map): feature_map [channels, rows, columns] -> same shape.

    Each cell has an equal share in the mean that `pool` takes; a cell left out has none.
    """
    state = pool(feature_map[None], pooling)[0]  # [channels]
    gradient = np.zeros_like(feature_map)
    pooled = gradient[:, :CORNER, :CORNER] if pooling == "corner" else gradient
    pooled += network.input_gradient(state, action)[:, None, None] / pooled[0].size
    return gradient


def drift_gradient(
    payload_map: np.ndarray, image_map: np.ndarray, by_drift: np.ndarray
) -> np.ndarray:
    """dP/dpayload_map through the two numbers of `drift.drift`; maps [channels, rows, columns].

    `payload_map` is that of the payload whose drift was taken; `by_drift`: dP/d(log(1 - cosine))
    and dP/d(log distance).
    """
    feature, reference = (each.mean(axis=(1, 2)) for each in (payload_map, image_map))
    length, moved = np.linalg.norm(feature), feature - reference
    unit, other = feature / length, reference / np.linalg.norm(reference)
    cosine = float(unit @ other)
    by_feature = -by_drift[0] * (other - cosine * unit) / (length * max(1 - cosine, 1e-4))
    by_feature = by_feature + by_drift[1] * moved / max(float(moved @ moved), 1e-8)
    cells = payload_map[0].size
    return np.broadcast_to(by_feature[:, None, None] / cells, payload_map.shape)
