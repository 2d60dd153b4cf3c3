"""Each formula of AdaCompress as one pure function.

"Eq. 1" and "Eq. 2" are the numbers printed in the summary of the paper (Li et al., ACM MM
2019); tags AC-1 to AC-9 are this project's. Where the printed form is not what was meant,
both stand here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BEST_LABELS = 5  # AC-1 looks among the five best labels of the compressed upload


def accuracy(reference: Sequence[str], compressed: Sequence[str], most: int = 5) -> float | None:
    """AC-1, Eq. 1 as meant: the share of reference labels that survive.

    `A = (1/K) sum_k max_j [l_j == g_k]`: g_k are the `most` best labels of the reference, best
    first (K at most that many), l_j the five best of the compressed upload. The factor 1/K is
    ours and keeps A in [0, 1]. None where the reference has no label: A is undefined.
    """
    kept = list(reference[:most])
    if not kept:
        return None
    answers = set(compressed[:BEST_LABELS])
    return sum(label in answers for label in kept) / len(kept)


def accuracy_as_printed(reference: Sequence[str], compressed: Sequence[str]) -> int:
    """AC-1, Eq. 1 as printed: `A = sum_k min_j d(l_j, g_k)`, with d = 1 where labels are equal.

    The minimum over j lets a reference label count only if all answers are that one word.
    For comparison; nothing uses it.
    """
    answers = compressed[:BEST_LABELS]
    return sum(min((int(l_j == g_k) for l_j in answers), default=0) for g_k in reference)


def agreement(reference: Sequence[str], compressed: Sequence[str]) -> float | None:
    """The one measure of all reports, AC-1 with K = 1: is the reference's best label kept?"""
    return accuracy(reference, compressed, most=1)


def size_ratio(size: float, reference_size: float) -> float:
    """AC-2: `ds = s_c / s_ref`, both in bytes."""
    return size / reference_size


def reward(accuracy: float, size_ratio: float, alpha: float = 1.0, beta: float = 0.0) -> float:
    """AC-3: `R = alpha * A - ds + beta`."""
    return alpha * accuracy - size_ratio + beta


def best_action(q_values: np.ndarray) -> int:  # [actions]
    """AC-4: `c = argmax_c Q(s, c)`; the lowest index among equals."""
    return int(np.argmax(q_values))


def target(rewards: np.ndarray, gamma: float, next_q: np.ndarray) -> np.ndarray:
    """AC-5: `y = r + gamma * max_c' Q(s', c'; theta_old)`.

    rewards [n], next_q [n, actions] -> [n].
    """
    return rewards + gamma * next_q.max(axis=1)


def loss(errors: np.ndarray) -> float:
    """AC-5: `E[(y - Q(s, c))^2]`, the mean over all entries of `errors` = y - Q."""
    return float(np.mean(np.square(errors)))


def next_epsilon(epsilon: float, decay: float, minimum: float, dips: bool = False) -> float:
    """AC-6: epsilon after one more learning step.

    With `dips` (authors) it falls below the minimum and is put back one learning step later.
    """
    if dips:
        return minimum if epsilon < minimum else epsilon * decay
    return max(minimum, epsilon * decay)


def windowed_mean(values: Sequence[float], n: int) -> float:
    """AC-7, Eq. 2 as meant: the mean of the latest n values; of all while there are fewer.

    NaN while there is none.
    """
    latest = list(values)[-n:]
    return sum(latest) / len(latest) if latest else float("nan")


def windowed_mean_as_printed(values: Sequence[float], n: int) -> float:
    """AC-7, Eq. 2 as printed: n + 1 terms over n; n terms, some of them not there yet, if N < n.

    Terms that do not exist count as 0. For comparison; nothing uses it.
    """
    terms = values[-(n + 1) :] if len(values) > n else values[:n]
    return sum(terms) / n


def estimation_probability(
    p_est: float, gradient: float, omega: float, p_min: float, p_max: float
) -> float:
    """AC-8: `p_est' = p_est + omega * grad(A_mean)`, clipped to [p_min, p_max].

    omega is negative, so that a falling accuracy raises p_est. `gradient` is the backward
    difference of the windowed mean, which is also the last element of `numpy.gradient`. An
    undefined gradient (NaN) changes nothing.
    """
    if not np.isnan(gradient):
        p_est = p_est + omega * gradient
    return min(max(p_est, p_min), p_max)


def grad_cam(gradient: np.ndarray, feature_map: np.ndarray) -> np.ndarray:
    """AC-9, Grad-CAM: where in the image the chosen Q-value comes from.

    gradient dQ/dmap [channels, rows, columns], feature_map of the same shape -> [rows, columns].
    A channel's weight is the mean of its gradient over the cells; heat is the mean over channels
    of weight x map, scaled so that its maximum is 1. No ReLU, as in the authors' code; where no
    cell is positive the heat is not scaled up, as that would turn its sign.
    """
    weights = gradient.mean(axis=(1, 2))  # [channels]
    heat = np.tensordot(weights, feature_map, axes=1) / len(weights)  # [rows, columns]
    peak = heat.max()
    return heat / peak if peak > 0 else heat
