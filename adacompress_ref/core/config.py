"""The constants of the paper's algorithm, each with its source and its range.

Tags AC-1 to AC-9 name the formulas of `equations.py`. "Authors" means their published code, "text"
the paper as summarised; where the text is silent, the authors' numbers stand.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeVar

C = TypeVar("C", bound="BaseConfig")


def within(limits: str, default: Any) -> Any:
    """A field limited to an interval, "[0, 1)", or to names, "a or b"; of a tuple, each item."""
    return field(default=default, metadata={"limits": limits})


def _fits(value: Any, default: Any, limits: str) -> bool:
    """Whether a value is of its default's type, and within limits where there are any."""
    if isinstance(default, tuple):
        item = default[0] if default else 1
        return isinstance(value, tuple) and all(_fits(each, item, limits) for each in value)
    if not limits or " or " in limits:
        return type(value) is type(default) and (not limits or value in limits.split(" or "))
    low, high = map(float, limits[1:-1].split(","))
    return (
        type(value) in (int, type(default))
        and (value >= low if limits[0] == "[" else value > low)
        and (value <= high if limits[-1] == "]" else value < high)
    )


@dataclass(frozen=True)
class BaseConfig:
    """What the config of every agent has. Raises ValueError for a value out of its range."""

    preset: str = "paper"
    # The actions, by name (jpeg-q15 is JPEG at quality 15); text: 5 to 95.
    encodings: tuple[str, ...] = tuple(f"jpeg-q{quality}" for quality in range(5, 100, 10))

    # Reward, AC-1 and AC-3.
    reference_labels: int = within("[1, inf)", 5)  # K at most, AC-1; authors: 1
    alpha: float = within("(0, inf)", 1.0)  # AC-3; authors
    beta: float = within("(-inf, inf)", 0.0)  # AC-3; authors

    # Replay memory D and Algorithm 1, AC-6.
    replay_capacity: int = within("[1, inf)", 2000)
    training_steps: int = within("[1, inf)", 1600)

    # Windows and estimates, AC-7 and AC-8.
    window: int = within("[1, inf)", 10)  # n
    p_0: float = within("[0, 1]", 0.2)
    p_min: float = within("[0, 1]", 0.2)
    p_max: float = within("[0, 1]", 0.95)

    def __post_init__(self) -> None:
        for own in dataclasses.fields(self):
            value, limits = getattr(self, own.name), own.metadata.get("limits", "")
            if isinstance(value, list):  # as JSON has it
                object.__setattr__(self, own.name, value := tuple(value))
            if not _fits(value, own.default, limits):
                kind = f"in {limits}" if limits[:1] in ("[", "(") else limits
                kind = kind or f"of type {type(own.default).__name__}"
                raise ValueError(f"config field {own.name!r}: {value!r:.60} must be {kind}")
        if not self.encodings or len(set(self.encodings)) < len(self.encodings):
            raise ValueError("config field 'encodings': at least one, and each once")
        if not self.p_min <= self.p_0 <= self.p_max:
            limits = f"in [p_min, p_max], which is [{self.p_min}, {self.p_max}]"
            raise ValueError(f"config field 'p_0': {self.p_0} must be {limits}")

    def replace(self: C, **changes: Any) -> C:
        """A copy with some fields changed. Raises TypeError for one that this preset has not."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Config(BaseConfig):
    """The defaults are preset `paper`."""

    # The state, s = E(x): how the image reaches the extractor, how its 7 x 7 map is pooled.
    resize: str = within("bilinear or nearest", "bilinear")  # authors: Pillow 6.0's nearest
    pooling: str = within("global or corner", "global")  # authors: the top-left 4 x 4 cells alone

    # Network and Adam, AC-4 and AC-5.
    hidden: tuple[int, ...] = within("[1, inf)", (64, 32, 32))
    learning_rate: float = within("(0, inf)", 0.002)
    beta_1: float = within("[0, 1)", 0.9)
    beta_2: float = within("[0, 1)", 0.999)
    adam_epsilon: float = within("(0, inf)", 1e-7)
    gamma: float = within("[0, 1)", 0.95)  # AC-5; authors
    target: str = within("drawn or stored", "drawn")  # when y of AC-5 is computed; authors: stored
    hold_other_outputs: bool = True  # the other outputs' targets are their values at the draw, and
    # passes 2 to 5 pull them back; False: AC-5's loss as printed, which overshoots with this gamma
    batch_size: int = within("[1, inf)", 256)
    gradient_passes: int = within("[1, inf)", 5)  # over each drawn minibatch
    learning_starts: int = within("[0, inf)", 128)  # T_start, in steps
    learn_every: int = within("[1, inf)", 5)  # training steps
    epsilon_decay: float = within("(0, 1]", 0.99)  # per learning step
    epsilon_min: float = within("[0, 1]", 0.02)
    epsilon_dips: bool = False  # authors: epsilon falls below the minimum, then jumps back to it

    omega: float = within("(-inf, 0]", -3.0)  # AC-8: a falling accuracy must raise p_est
    window_includes_current: bool = True  # authors: the mean is recorded before the step is added
    retrain_rule: str = within("earliest or threshold", "earliest")  # authors: threshold
    retrain_drop: float = within("[0, 1]", 0.1)  # text: "well below" the earliest n: by more
    retrain_threshold: float = within("[0, 1]", 0.8)  # authors
    return_reward: float = within("(-inf, inf)", 0.45)  # r_th
    return_accuracy: float = within("[-1, 1]", -1.0)  # accuracy is above it too; authors: 0.8
    return_epsilon: float = within(
        "[0, 1]", 1.0
    )  # epsilon is below; 1: once it learns; authors: 0.2
    flush: str = within("exit or entry", "exit")  # of retraining; text: after it; authors: at entry
    explore_anew: bool = True  # at each retraining; authors: at the first alone


PAPER = Config()
AUTHORS = Config(
    preset="authors",
    resize="nearest",
    pooling="corner",
    reference_labels=1,
    target="stored",
    epsilon_dips=True,
    window_includes_current=False,
    retrain_rule="threshold",
    return_accuracy=0.8,
    return_epsilon=0.2,
    flush="entry",
    explore_anew=False,
)
PRESETS = (PAPER, AUTHORS)
