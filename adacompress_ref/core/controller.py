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

    KEPT = ("state", "initial", "early", "agent", "monitor")  # of a stop, on disk

    def __init__(
        self, agent: Agent, monitor: Monitor, trained: bool = True, early: bool = True
    ) -> None:
        self.agent, self.monitor, self.early = agent, monitor, early
        self.state: State = "inference" if trained else "retrain"
        self.initial = not trained  # whether this is the initial training
        self.settled = 0  # decisions
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

        Several may be made before the first is settled; they have the same chance.
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

        A run that is to be repeatable settles its decisions in the order in which it made them.
        """
        agent, monitor = self.agent, self.monitor
        mode, state, action = decision.mode, decision.state, decision.action
        if decision.turn == self.settled:  # no other has drawn since
            agent.rng.bit_generator.state = decision.drawn
        self.settled += 1
        accuracy, agreement = measured(compressed, reference, agent.config)
        reward = None
        agent.arrive(state)
        if mode != "retrain" and compressed.labels is not None:
            monitor.see(state, action, compressed)
        if reference is not None and accuracy is not None:
            ratio = equations.size_ratio(compressed.size, reference.size)
            reward = equations.reward(accuracy, ratio, decision.alpha, agent.config.beta)
            measurement = Measurement(state, action, compressed, reference, accuracy, reward)
            agent.observe(measurement)
            monitor.record(measurement)
        if mode == "retrain" == self.state:
            self._retrain(accuracy is not None)
        elif "retrain" not in (mode, self.state):  # else retraining began or ended meanwhile
            self._go_on(mode, accuracy is not None)
        mean = None if np.isnan(monitor.mean_accuracy) else monitor.mean_accuracy
        measures = accuracy, agreement, reward, mean, monitor.p_est, decision.epsilon
        return Step(mode, action, compressed, reference, *measures, decision.alpha)

    def _go_on(self, mode: State, measured: bool) -> None:
        """Inference and estimate: draw the next state anew, or begin to retrain.

        An estimate updates p_est, and retraining begins where its measurement asks for it.
        """
        if mode == "estimate":
            self.monitor.estimated(measured)
        if mode == "estimate" and measured:
            self.agent.estimate_step()
            if self.monitor.must_retrain:
                self.state = "retrain"
                self.monitor.begin_training()
                self.agent.begin_training()
                return
        self.state = "estimate" if self.agent.rng.random() < self.monitor.p_est else "inference"

    def _retrain(self, measured: bool) -> None:
        """Retrain: learn from every measurement, and return to inference when it is enough.

        The initial training is over after its number of steps at the latest.
        """
        if not measured:
            return
        asked = self.early or not self.initial
        enough = asked and self.monitor.may_return(self.initial)
        if not enough:
            self.agent.training_step()
            enough = self.initial and self.agent.trained
        if enough:
            self.agent.end_training(self.initial)
            self.monitor.end_training()
            self.state, self.initial = "inference", False
