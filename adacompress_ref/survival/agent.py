"""The agent of the presets `tuned`, `fast` and `ladder`: Q from P(labels survive) and known sizes.

The client can encode and count, so the size ratio need not be learned:

    Q(s, c) = alpha * P(labels survive | s, c) - ds(x, c) + beta

is still AC-4's action value. What is left to learn is one number between 0 and 1. One small
network serves all actions, and each upload teaches it about all of them. NumPy alone.
"""

from __future__ import annotations

import numpy as np

from ..core.agent import AgentError, DQNAgent
from ..core.config import Config

ALPHAS = 0.1, 100.0  # where `reach` looks


class SurvivalAgent(DQNAgent):
    """A DQN whose state is a matrix [actions, inputs]: a row of numbers for each action.

    The last number of a row is the action's size ratio ds (AC-2); infinite where the action
    cannot be taken. Images are independent: gamma must be 0.
    `alpha` may change at any time: what is learned does not depend on it.
    """

    def __init__(
        self,
        config: Config,
        state_size: int,
        rng: np.random.Generator,
        stamp: dict | None = None,
    ) -> None:
        super().__init__(config, state_size, rng, stamp)
        self.network.weights[-1][:] = 0  # P is one half for all, before anything is known
        self.anchor = self.network.parameters.copy()
        self.trained = False

    # Acting -----------------------------------------------------------------------------------

    def survival(self, state: np.ndarray) -> np.ndarray:
        """P(labels survive), states [..., actions, inputs] -> [..., actions]."""
        rows = np.nan_to_num(np.asarray(state, np.float32), posinf=0.0)
        return _sigmoid(self.network.q_values(rows)[..., 0])

    def q_values(self, state: np.ndarray) -> np.ndarray:
        """AC-4's Q(s, c), states [..., actions, inputs] -> [..., actions]."""
        ratios = np.asarray(state, np.float32)[..., -1]  # ds
        return self.alpha * self.survival(state) - ratios + self.config.beta

    def explore(self, state: np.ndarray) -> int:
        """A random action among those that would beat the best, were they sure to survive."""
        best_case = self.alpha - state[:, -1] + self.config.beta  # [actions]
        promising = np.flatnonzero(best_case >= self.q_values(state).max())
        return int(self.rng.choice(promising))

    def reach(self, agreement: float, states: np.ndarray, excess: float) -> None:
        """Set alpha to the least that reaches an agreement on images [n, actions, inputs].

        `excess` is by how much P was too high lately.
        """
        survival = self.survival(states)  # [n, actions]
        rows = np.arange(len(states))
        low, high = ALPHAS
        while high / low > 1.01:  # agreement does not fall as alpha grows
            alpha = (low * high) ** 0.5
            chosen = (alpha * survival - states[..., -1]).argmax(axis=1)
            if survival[rows, chosen].mean() - excess < agreement:
                low = alpha
            else:
                high = alpha
        self.alpha = high  # where it cannot be reached, the highest

    # Learning ---------------------------------------------------------------------------------

    def observe(self, state: np.ndarray, action: int, accuracy: float) -> None:
        """Keep the chosen action's row and the accuracy measured: what `remember` is to others."""
        self.replay.add(state[action], action, accuracy, None)

    def end_training(self) -> None:
        """Exploit from now on, and hold on to what is known."""
        super().end_training()
        self.anchor, self.trained = self.network.parameters.copy(), True

    def fit(self, states: np.ndarray, actions: np.ndarray, targets: np.ndarray) -> float:
        """The gradient passes of one learning step towards accuracies in [0, 1].

        Rows [n, inputs], actions [n] (in the rows), targets [n]. Cross-entropy in place of AC-5's
        square: alpha * (A - P) is y - Q in both, but its gradient does not vanish where P is
        wrong and sure of itself. The pull towards the anchor, the parameters that training ended
        with, counts like `config.anchor` transitions (`anchor_untrained` before there was any), so
        it fades as D fills.
        """
        first_loss = 0.0
        weight = self.config.anchor if self.trained else self.config.anchor_untrained
        pull = 2 * weight / max(len(self.replay), 1)
        for gradient_pass in range(self.config.gradient_passes):
            layers = self.network.forward(states)
            survival = _sigmoid(layers[-1][:, 0])  # P [n]
            if gradient_pass == 0:
                first_loss = _cross_entropy(survival, targets)
            gradient = self.network.backward(layers, (survival - targets)[:, None] / len(targets))
            gradient += pull * (self.network.parameters - self.anchor)
            self.optimiser.step(self.network.parameters, gradient)
        return first_loss

    # Keeping ----------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As for every agent, and the anchor and alpha."""
        return super().to_arrays() | {
            "anchor": self.anchor,
            "alpha": np.array(self.alpha),
            "trained": np.array(self.trained),
        }

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the place of what `to_arrays` gave. Raises AgentError if the sizes differ."""
        super().from_arrays(arrays)
        alpha = float(arrays["alpha"])
        if not 0 < alpha < 1e6:
            raise AgentError(f"its alpha is {alpha}, which must be above 0 and below 1e6")
        self.alpha, self.trained = alpha, bool(arrays["trained"])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.clip(-30, 30)))


def _cross_entropy(survival: np.ndarray, targets: np.ndarray) -> float:
    inside = survival.clip(1e-7, 1 - 1e-7)
    return float(-np.mean(targets * np.log(inside) + (1 - targets) * np.log(1 - inside)))
