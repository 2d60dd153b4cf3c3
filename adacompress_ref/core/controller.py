"""The running system: inference, estimate and retrain, and the switches between them.

The controller knows an image by its state and by what uploading it returns, the agent by
`roles.Agent`, and by `roles.Monitor` what decides when to measure and when to learn again.
"""

from __future__ import annotations

import numpy as np

from . import equations
from .roles import Agent, Decision, Image, Measurement, Monitor, State, Step, Upload, measured


class Controller:
    """Steps through a stream of images in the three states.

    An agent that is not trained starts in `retrain` for the initial training, which the monitor may
    end early where it is asked (`early`). All chance comes from the agent's generator.
    """

    KEPT = ("state", "initial", "early", "agent", "monitor")  # what a saved run restores

    def __init__(
        self, agent: Agent, monitor: Monitor, trained: bool = True, early: bool = True
    ) -> None:
        self.agent, self.monitor, self.early = agent, monitor, early
        self.state: State = "inference" if trained else "retrain"
        self.initial = not trained  # whether this is the initial training
        self.settled = 0  # decisions so far
        if trained:
            agent.epsilon = 0.0

    def step(self, image: Image) -> Step:
        """Send one image, measure and learn as the state demands, and draw the next state.

        If an upload raises, nothing has been recorded and the state is as before.
        """
        decision = self.decide(image.state)
        return self.settle(decision, *image.upload(decision.action, decision.mode != "inference"))

    def decide(self, state: np.ndarray) -> Decision:
        """What to send of an image whose state is s. Leaves no trace before it is settled.

        Of several between two settlements each is in the same mode and has the same random draws.
        """
        generator = self.agent.rng.bit_generator
        before = generator.state
        try:
            action = self.agent.act(state)
            drawn = generator.state
        finally:
            generator.state = before
        agent = self.agent
        return Decision(self.state, state, action, agent.epsilon, agent.alpha, self.settled, drawn)

    def settle(self, decision: Decision, compressed: Upload, reference: Upload | None) -> Step:
        """Measure what became of a decision, learn from it, and draw the next state.

        The same calls in the same order repeat a run: several settle in the order of decisions.
        """
        agent, monitor = self.agent, self.monitor
        mode, state, action = decision.mode, decision.state, decision.action
        if decision.turn == self.settled:  # no other has drawn since
            agent.rng.bit_generator.state = decision.drawn
        else:
            agent.act(state)  # chance moves on all the same
        self.settled += 1
        accuracy, agreement = measured(compressed, reference, agent.config)
        reward = None
        agent.arrive(state)
        if mode != "retrain" and compressed.labels is not None:
            monitor.see(state, action, compressed)
        late = (mode == "retrain") != (self.state == "retrain")  # that began or ended meanwhile
        if reference is not None and accuracy is not None:
            ratio = equations.size_ratio(compressed.size, reference.size)
            reward = equations.reward(accuracy, ratio, decision.alpha, agent.config.beta)
            measurement = Measurement(state, action, compressed, reference, accuracy, reward)
            if not late:
                monitor.record(measurement)
            agent.observe(measurement)
        if mode == "retrain" and not late:
            self._retrain(accuracy is not None)
        elif not late:
            self._go_on(mode, accuracy is not None)
        mean = None if np.isnan(monitor.mean_accuracy) else monitor.mean_accuracy
        measures = accuracy, agreement, reward, mean, monitor.p_est, decision.epsilon
        return Step(mode, action, compressed, reference, *measures, decision.alpha)

    def _go_on(self, mode: State, is_measured: bool) -> None:
        """Inference and estimate: draw the next state anew, or begin to retrain.

        An estimate updates p_est, and retraining begins where its measurement asks for it.
        """
        if mode == "estimate":
            self.monitor.estimated(is_measured)  # p_est, AC-8
            if is_measured and self.monitor.must_retrain:
                self.state = "retrain"
                self.agent.begin_training()
                self.monitor.begin_training()
                return
        self.state = "estimate" if self.agent.rng.random() < self.monitor.p_est else "inference"

    def _retrain(self, is_measured: bool) -> None:
        """Retrain: return to inference if the monitor, asked first, says so; else learn."""
        if not is_measured:
            return
        may_end = self.early or not self.initial
        is_over = may_end and self.monitor.may_return(self.initial)
        if not is_over:
            self.agent.training_step()
            is_over = self.initial and self.agent.trained
        if is_over:
            self.agent.end_training(self.initial)
            self.monitor.end_training()
            self.state, self.initial = "inference", False
