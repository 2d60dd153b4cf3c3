"""The running system: inference, estimate and retrain, and the switches between them.

The controller knows an image by its state vector and by what uploading it returns; where either
comes from is its caller's matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np

from ..survival.agent import SurvivalAgent
from ..survival.monitor import Estimator, Watch
from . import equations
from .agent import DQNAgent
from .config import Config

State = Literal["inference", "estimate", "retrain"]
GOAL_IMAGES = 60  # the latest measured, on which an agreement is to be reached
GOAL_LEAST = 10  # measurements before alpha may be below the preset's


class Label(NamedTuple):
    """One answer of a service: a name, and a score from 0 to 1."""

    name: str
    score: float


class Upload(NamedTuple):
    """What one upload cost and returned: bytes, and labels best first; None for no answer."""

    size: int
    labels: Sequence[Label] | None


class Image(Protocol):
    """One image of the stream."""

    @property
    def state(self) -> np.ndarray:
        """s = E(x) [inputs], or of drift [actions, inputs]."""

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """Send J(x, c), and the reference where asked, or where J(x, c) has no answer.

        At least one of them has labels. Raises where neither has an answer.
        """


@dataclass(frozen=True)
class Step:
    """What one image went through. Sizes in bytes; None where the state does not measure it."""

    state: State
    action: int
    compressed: Upload
    reference: Upload | None  # where one was sent
    accuracy: float | None  # AC-1 as the preset has it
    agreement: float | None  # AC-1 with K = 1
    reward: float | None
    mean_accuracy: float | None  # AC-7, as last recorded; None while windows are empty
    p_est: float  # AC-8, as in force for the draw that follows
    epsilon: float  # with which this step acted
    alpha: float  # as well

    @property
    def labels(self) -> Sequence[Label]:
        """The client's: the reference's where it has an answer."""
        if self.reference is not None and self.reference.labels is not None:
            return self.reference.labels
        return self.compressed.labels or ()

    @property
    def bytes_sent(self) -> int:
        """Of both uploads where there were two."""
        return self.compressed.size + (self.reference.size if self.reference else 0)


def measured(
    compressed: Upload, reference: Upload | None, config: Config
) -> tuple[float | None, float | None]:
    """Accuracy as the preset has it, and agreement (AC-1).

    None where the reference has no label, and where either upload has no answer: what could not
    be compared is no disagreement.
    """
    if reference is None or reference.labels is None or compressed.labels is None:
        return None, None
    names = [label.name for label in reference.labels]
    answers = [label.name for label in compressed.labels]
    accuracy = equations.accuracy(names, answers, config.reference_labels)
    return accuracy, equations.agreement(names, answers)


class Controller:
    """Steps through a stream of images in the three states.

    An agent that is not trained starts in `retrain` and stays there for the initial training's
    number of steps; with the rule `surprise`, until it may return. All chance comes from the
    agent's generator.
    """

    def __init__(self, agent: DQNAgent, trained: bool = True) -> None:
        self.agent = agent
        self.config = agent.config
        self.estimator = Estimator(agent.config)
        self.watch = Watch(agent.config)
        # at first for want of knowledge, at p_0
        self.suspected = agent.config.retrain_rule == "surprise" and self.watch.suspicious
        self.goal: float | None = None  # agreement that alpha is set for, if any
        self.recent: deque[np.ndarray] = deque(maxlen=GOAL_IMAGES)  # measured, for that goal
        self.state: State = "inference" if trained else "retrain"
        self.initial = not trained  # whether this is the initial training
        if trained:
            agent.epsilon = 0.0
        self.pending: tuple[np.ndarray, int, float] | None = None  # (s, c, r), s' still to come

    def step(self, image: Image) -> Step:
        """Send one image, measure and learn as the state demands, and draw the next state.

        If an upload raises, nothing has been recorded and the state is as before.
        """
        state, epsilon, observed = self.state, self.agent.epsilon, image.state
        alpha = self.agent.alpha
        generator = self.agent.rng.bit_generator.state
        try:
            action = self.agent.act(observed)
            compressed, reference = image.upload(action, state != "inference")
        except BaseException:  # Ctrl-C too
            self.agent.rng.bit_generator.state = generator
            raise
        accuracy, agreement = measured(compressed, reference, self.config)
        reward = None
        if self.pending is not None:  # this image's state is the s' of the one before
            self.agent.remember(*self.pending, observed)
            self.pending = None
        if state != "retrain" and compressed.labels is not None:
            score = compressed.labels[0].score if compressed.labels else 0.0
            if self.watch.see(np.append(observed.reshape(-1, observed.shape[-1])[0], score)):
                self.estimator.p_est, self.suspected = self.config.p_max, True
        if reference is not None and accuracy is not None:
            ratio = equations.size_ratio(compressed.size, reference.size)
            reward = equations.reward(accuracy, ratio, alpha, self.config.beta)
            self.estimator.record(accuracy, reward)
            if not isinstance(self.agent, SurvivalAgent):
                self.pending = (observed, action, reward)
            else:  # it needs no s'
                self.agent.observe(observed, action, accuracy)
                self.watch.measure(float(self.agent.survival(observed[action])), accuracy)
                self._follow_suspicion()
                if self.goal is not None:
                    self.recent.append(observed)
                    excess = float(np.mean(self.watch.residuals))
                    self.agent.reach(self.goal, np.stack(self.recent), excess)
                    if len(self.watch.residuals) < GOAL_LEAST:
                        self.agent.alpha = max(self.agent.alpha, self.config.alpha)
            self._judge()
        elif state != "retrain":
            if state == "estimate":  # nothing measured, but paid for
                self.watch.spend()
                self._follow_suspicion()
            self._draw()
        mean = self.estimator.mean_accuracy
        return Step(
            state=state,
            action=action,
            compressed=compressed,
            reference=reference,
            accuracy=accuracy,
            agreement=agreement,
            reward=reward,
            mean_accuracy=None if np.isnan(mean) else mean,
            p_est=self.estimator.p_est,
            epsilon=epsilon,
            alpha=alpha,
        )

    def _judge(self) -> None:
        """Switch states after a measurement."""
        if self.state == "retrain":
            if self._may_return():
                self._end_retraining()
                return
            self.agent.training_step()
            if self.initial and self.agent.steps == self.config.training_steps:
                self._end_retraining()
            return
        if not self.suspected:
            self.estimator.update_p_est()
        if self.config.learn_in_estimates and len(self.agent.replay):
            self.agent.learn()
            self.agent.epsilon = 0.0
        if self._must_retrain():
            self._begin_retraining()
        else:
            self._draw()

    def _must_retrain(self) -> bool:
        by_surprise = self.config.retrain_rule == "surprise"
        return self.watch.alarmed if by_surprise else self.estimator.must_retrain

    def _may_return(self) -> bool:
        if self.config.retrain_rule == "surprise":
            return self.watch.calibrated
        return not self.initial and self.estimator.may_return(self.agent.epsilon)

    def _follow_suspicion(self) -> None:
        """p_est jumps to p_max on suspicion of a change, and to p_min when it is dismissed."""
        if self.config.retrain_rule == "surprise" and self.watch.suspicious != self.suspected:
            self.suspected = self.watch.suspicious
            self.estimator.p_est = self.config.p_max if self.suspected else self.config.p_min

    def _draw(self) -> None:
        """The next state, drawn anew: estimate with probability p_est."""
        self.state = "estimate" if self.agent.rng.random() < self.estimator.p_est else "inference"

    def _begin_retraining(self) -> None:
        self.state = "retrain"
        self.watch.reset()
        if self.config.flush == "entry":
            self.agent.replay.clear()
            self.pending = None
        if self.config.explore_anew:
            self.agent.begin_training()

    def _end_retraining(self) -> None:
        self.state = "inference"
        steps = 0 if self.initial else self.agent.steps
        self.agent.end_training()
        self.agent.steps, self.initial = steps, False
        self.estimator.reset()
        self.watch.reset()
        self.suspected = False
        if self.config.retrain_rule == "surprise":
            self.estimator.p_est = self.config.p_min
        if self.config.flush == "exit":
            self.agent.replay.clear()
            self.pending = None
