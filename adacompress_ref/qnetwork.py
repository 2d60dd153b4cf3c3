"""The Q-network: a multilayer perceptron with ReLU, its gradient, and Adam. NumPy alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


class QNetwork:
    """Q(s, .; theta): states [n, inputs] -> Q-values [n, actions] (AC-4).

    Dense layers of the given widths, ReLU between them, linear output. All parameters lie in
    one flat array, `parameters`, of which `weights` and `biases` are views; so the optimiser
    needs one call, and a copy of theta is one copy.

    `rng` draws Glorot-uniform weights; without it they are zero, to be filled. Biases start at
    zero.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        rng: np.random.Generator | None = None,
        dtype: type = np.float32,
    ) -> None:
        self.widths = widths
        count = sum(inputs * outputs + outputs for inputs, outputs in pairwise(widths))
        self.parameters: np.ndarray = np.zeros(count, dtype)
        self.weights, self.biases = self._views(self.parameters)
        if rng is not None:
            for weight in self.weights:  # [inputs, outputs]
                limit = np.sqrt(6.0 / sum(weight.shape))
                weight[:] = rng.uniform(-limit, limit, weight.shape)

    def _views(self, flat: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights [inputs, outputs] and biases [outputs] of each layer as views into `flat`."""
        weights, biases, start = [], [], 0
        for inputs, outputs in pairwise(self.widths):
            weights.append(flat[start : start + inputs * outputs].reshape(inputs, outputs))
            start += inputs * outputs
            biases.append(flat[start : start + outputs])
            start += outputs
        return weights, biases

    def forward(self, states: np.ndarray) -> list[np.ndarray]:
        """The output of every layer, states [n, inputs] first, Q-values [n, actions] last."""
        layers = [states]
        last = len(self.weights) - 1
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            output = layers[-1] @ weight  # [n, inputs], [inputs, outputs] -> [n, outputs]
            output += bias
            if depth < last:
                np.maximum(output, 0, out=output)
            layers.append(output)
        return layers

    def q_values(self, states: np.ndarray) -> np.ndarray:
        """States [n, inputs] -> Q-values [n, actions]."""
        return self.forward(states)[-1]

    def backward(self, layers: list[np.ndarray], output_gradient: np.ndarray) -> np.ndarray:
        """Gradient of a loss with respect to `parameters`, flat, by backpropagation.

        `layers` from `forward`; `output_gradient` dL/dQ [n, actions].
        """
        gradient = np.empty_like(self.parameters)
        weight_gradients, bias_gradients = self._views(gradient)
        delta = output_gradient  # dL/d(output of this layer before ReLU) [n, outputs]
        for depth in reversed(range(len(self.weights))):
            np.matmul(layers[depth].T, delta, out=weight_gradients[depth])
            np.sum(delta, axis=0, out=bias_gradients[depth])
            if depth:
                delta = delta @ self.weights[depth].T  # [n, outputs] -> [n, inputs]
                delta *= layers[depth] > 0
        return gradient

    def input_gradient(self, state: np.ndarray, action: int) -> np.ndarray:
        """dQ(s, c)/ds: state [inputs], action c -> [inputs]; the first link of AC-9."""
        layers = self.forward(state[None])
        delta = self.weights[-1][None, :, action].copy()  # [1, inputs of the last layer]
        for depth in reversed(range(len(self.weights) - 1)):
            delta = (delta * (layers[depth + 1] > 0)) @ self.weights[depth].T
        return delta[0]


class Adam:
    """Adam as Keras 2 has it: epsilon stands outside the bias correction.

    `theta -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)`
    """

    def __init__(
        self,
        parameters: np.ndarray,
        learning_rate: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> None:
        self.learning_rate, self.beta_1, self.beta_2 = learning_rate, beta_1, beta_2
        self.epsilon = epsilon
        self.mean = np.zeros_like(parameters)  # m
        self.variance = np.zeros_like(parameters)  # v
        self.steps = 0  # t

    def step(self, parameters: np.ndarray, gradient: np.ndarray) -> None:
        """Change `parameters` in place by one step along `gradient`; both flat."""
        self.steps += 1
        self.mean += (1 - self.beta_1) * (gradient - self.mean)
        self.variance += (1 - self.beta_2) * (gradient * gradient - self.variance)
        correction = np.sqrt(1 - self.beta_2**self.steps) / (1 - self.beta_1**self.steps)
        scale = np.sqrt(self.variance)
        scale += self.epsilon
        parameters -= (self.learning_rate * float(correction)) * (self.mean / scale)
