"""Who plays with the controller: an image, an agent, a monitor; and what they hand each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from . import equations
from .config import BaseConfig

State = Literal["inference", "estimate", "retrain"]


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
        """s, as the agent sees the image."""

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """Send J(x, c), and the reference where asked, or where J(x, c) has no answer.

        At least one of them has labels. Raises where neither has an answer.
        """


class Measurement(NamedTuple):
    """An upload beside its reference, and what it came to."""

    state: np.ndarray  # s
    action: int  # c
    compressed: Upload
    reference: Upload
    accuracy: float  # AC-1
    reward: float  # AC-3


class Agent(Protocol):
    """Chooses an action and learns from what it came to (AC-4 to AC-6)."""

    config: Any  # a BaseConfig
    rng: np.random.Generator
    epsilon: float
    alpha: float  # of AC-3
    hear_again: Any  # hear_again(kept), of a reference asked again; None where it is not used
    aim: Any  # aim(alpha, agreement, confidence); None where what is learned depends on alpha
    stamp: dict[str, Any]  # JSON that travels with it: extractor, service, images

    def act(self, state: np.ndarray) -> int: ...  # AC-4, epsilon-greedy
    def q_values(self, state: np.ndarray) -> np.ndarray: ...  # of one state or of several
    def observe(self, measurement: Measurement) -> None: ...
    def arrive(self, state: np.ndarray) -> None: ...  # the next image's: s' of what was observed
    def training_step(self) -> None: ...  # AC-6, after each measurement in retrain
    def begin_training(self) -> None: ...  # a retraining begins: explore
    def end_training(self, initial: bool) -> None: ...  # the initial one or another: exploit
    @property
    def trained(self) -> bool: ...  # asked in the initial training: has it had all its steps?


class Monitor(Protocol):
    """When to measure, when to learn again, when to stop (AC-7, AC-8)."""

    p_est: float  # AC-8
    mean_accuracy: float  # AC-7; NaN until a mean is recorded

    def see(self, state: np.ndarray, action: int, compressed: Upload) -> None: ...  # not in retrain
    def record(self, measurement: Measurement) -> None: ...
    def estimated(self, measured: bool) -> None: ...  # an estimate is over
    @property
    def must_retrain(self) -> bool: ...  # asked after an estimate
    def may_return(self, initial: bool) -> bool: ...  # asked after a measurement in retrain
    def begin_training(self) -> None: ...  # a retraining begins
    def end_training(self) -> None: ...


class Decision(NamedTuple):
    """What is to be sent of an image: J(x, c), and the reference unless in inference."""

    mode: State
    state: np.ndarray  # s
    action: int  # c
    epsilon: float  # with which it was taken
    alpha: float  # as well
    turn: int  # how many decisions were settled before
    drawn: Mapping[str, Any]  # the generator's state after it


@dataclass(frozen=True)
class Step:
    """What one image went through. Sizes in bytes; None where the state does not measure it."""

    state: State
    action: int
    compressed: Upload
    reference: Upload | None  # where one was sent
    accuracy: float | None  # AC-1 as the preset has it
    agreement: float | None  # AC-1 with K = 1
    reward: float | None  # AC-3
    mean_accuracy: float | None  # AC-7, as last recorded; None until one is
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
    compressed: Upload, reference: Upload | None, config: BaseConfig
) -> tuple[float | None, float | None]:
    """Accuracy as the preset has it, and agreement (AC-1).

    None where the reference has no label or either upload no answer: that is no disagreement.
    """
    if reference is None or reference.labels is None or compressed.labels is None:
        return None, None
    names = [label.name for label in reference.labels]
    answers = [label.name for label in compressed.labels]
    accuracy = equations.accuracy(names, answers, config.reference_labels)
    return accuracy, equations.agreement(names, answers)
