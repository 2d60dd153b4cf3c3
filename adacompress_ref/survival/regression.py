"""Logistic regression over several services, each of which deviates in two numbers. NumPy alone.

    logit P(labels survive) = z + u . phi(z),   z = w . (x, 1),   phi(z) = (1, (z - 2.5) / 2)

w is learned once, from many services. u is one service's own, (0, 0) in the mean over services with
covariance Sigma: how easily its labels are lost, and how much that depends on the image. A service
that was never met is known as soon as these two numbers are, of which a few labels tell.
"""

from __future__ import annotations

import numpy as np

CENTRE, UNIT = 2.5, 2.0  # of z, in the second direction
PENALTY = 2.0  # on w, of inputs with spread 1
SPREAD = np.diag([0.64, 0.3])  # Sigma, as far as is known before any service
LEAST_SPREAD = 1e-3  # of an input; of one that is the same everywhere, nothing is learned
BEFORE = 2  # services that this counts as, so that few do not fix it
TURNS, STEPS = 6, 3  # of the whole fit; of Newton's method for w in each


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-values.clip(-30, 30)))


def directions(z: np.ndarray) -> np.ndarray:
    """phi(z): in what services differ, [...] -> [..., 2]."""
    return np.stack([np.ones_like(z), (z - CENTRE) / UNIT], axis=-1)


def newton(
    z: np.ndarray, kept: np.ndarray, precision: np.ndarray, u: np.ndarray, steps: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """The most likely u [2], and its covariance, from z [n] and whether labels survived, kept [n].

    Under u ~ N(0, precision^-1), from a first guess of u. Long steps may never end.
    """
    phi = directions(z)
    for _ in range(steps):
        survival = sigmoid(z + phi @ u)
        hessian = phi.T @ (phi * (survival * (1 - survival))[:, None]) + precision
        u = u + np.linalg.solve(hessian, phi.T @ (kept - survival) - precision @ u).clip(-0.5, 0.5)
    return u, np.linalg.inv(hessian)


def fit(inputs: np.ndarray, kept: np.ndarray, service: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w [d + 1] and Sigma [2, 2], from x [n, d], kept [n] in [0, 1] and service [n], from 0.

    By turns: w, given each u; each u, given w and Sigma; Sigma, as the mean square of the u and of
    what is not known of them, with SPREAD among them. 30,000 rows take some seconds.
    """
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0).clip(LEAST_SPREAD)
    x = np.column_stack([(inputs - mean) / spread, np.ones(len(inputs))])  # [n, d + 1]
    w, penalty = np.zeros(x.shape[1]), np.full(x.shape[1], PENALTY)
    penalty[-1] = 1e-3
    services = int(service.max()) + 1
    u, sigma, offset = np.zeros((services, 2)), SPREAD, np.zeros(len(x))
    for _ in range(TURNS):
        for _ in range(STEPS):
            survival = sigmoid(x @ w + offset)
            hessian = x.T @ (x * (survival * (1 - survival))[:, None]) + np.diag(penalty)
            w = w + np.linalg.solve(hessian, x.T @ (kept - survival) - penalty * w)
        z, total = x @ w, BEFORE * SPREAD
        for number in range(services):
            own = service == number
            u[number], covariance = newton(z[own], kept[own], np.linalg.inv(sigma), u[number])
            total = total + np.outer(u[number], u[number]) + covariance
        sigma, offset = total / (services + BEFORE), (directions(z) * u[service]).sum(axis=1)
    w[:-1] /= spread
    w[-1] -= w[:-1] @ mean
    return w, sigma
