"""What an action means, and every constant of the algorithm, each with its source.

Tags AC-1 to AC-9 name the formulas of `equations.py`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

Resize = Literal["bilinear", "nearest"]
Pooling = Literal["global", "corner"]
_NAME = re.compile(r"(jpeg|webp)(?:-([1-9][0-9]*))?-q([1-9][0-9]*)")


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a field of type `kind` may have this value; all whole numbers are counts here."""
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return value in arguments
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_a(item, arguments[0]) for item in value)
    if arguments:  # a union
        return any(_is_a(value, each) for each in arguments)
    if kind is int:
        return type(value) is int and value > 0
    if kind is float:
        return type(value) in (int, float) and abs(value) < 1e308  # neither inf nor NaN
    return isinstance(value, kind)


@dataclass(frozen=True)
class Encoding:
    """One action `c`: a file format, a size and a quality, named like `jpeg-q15`, `webp-224-q55`.

    `short_side` is in pixels; None keeps the size of the image. An image is never enlarged.
    """

    format: Literal["jpeg", "webp"]
    short_side: int | None
    quality: int  # 1 to 100, the encoder's own scale

    def __post_init__(self) -> None:
        if self.format not in ("jpeg", "webp"):
            raise ValueError(f"encoding format {self.format!r}: must be jpeg or webp")
        if type(self.quality) is not int or not 1 <= self.quality <= 100:
            raise ValueError(f"encoding quality {self.quality}: must be from 1 to 100")
        if self.short_side is not None and not _is_a(self.short_side, int):
            raise ValueError(f"encoding short side {self.short_side}: must be at least 1 pixel")

    @property
    def name(self) -> str:
        """As in tables and on the command line; the inverse of `parse`."""
        size = "" if self.short_side is None else f"-{self.short_side}"
        return f"{self.format}{size}-q{self.quality}"

    @classmethod
    def parse(cls, name: str) -> Encoding:
        """The encoding called `name`. Raises ValueError if there is none of that name."""
        match = _NAME.fullmatch(name.strip())
        if not match:
            raise ValueError(
                f"encoding {name!r}: expected a name like jpeg-q15, jpeg-224-q15 or webp-224-q55"
            )
        side = int(match[2]) if match[2] else None
        return cls(match[1], side, int(match[3]))  # type: ignore[arg-type]


TEN_LEVELS = tuple(Encoding("jpeg", None, quality) for quality in range(5, 100, 10))
_RUNGS = {  # of `ladder`: qualities by format and short side
    "jpeg": {160: (20, 35), 192: (20, 35), 224: (20, 35, 55), 288: (20, 35, 55), None: (45, 75)},
    "webp": {160: (20, 40, 60), 192: (40, 60), 224: (40, 60), 288: (40, 60), None: (40, 60)},
}
LADDER = tuple(
    Encoding(form, side, quality)  # type: ignore[arg-type]
    for form, sides in _RUNGS.items()
    for side, qualities in sides.items()
    for quality in qualities
)
CHANNELS = 1280  # of E's last convolution: the length of a state
REFERENCE = Encoding("jpeg", None, 75)  # the convention that every size is compared with


@cache  # as working them out takes a millisecond
def _kinds() -> dict[str, Any]:
    return get_type_hints(Config)


@dataclass(frozen=True)
class Config:
    """Every constant and every choice between sources. The defaults are preset `paper`.

    "Authors" below means their published code; "text" the paper as summarised.
    """

    preset: str = "paper"
    encodings: tuple[Encoding, ...] = TEN_LEVELS  # the actions; text: 5 to 95 by 10

    # The state. "features": s = E(x), one vector. "drift": for each action a row of numbers that
    # say how compression moves E's features (drift.py); the network then gives P(labels survive).
    state: Literal["features", "drift"] = "features"
    own_drift: bool = False  # with "drift": each action's own too, not only that of probes
    glance: bool = True  # with "drift": look at the centre too
    size_sample: int = 1  # with "drift": sizes are estimated on one of so many rows of blocks
    # With "features": how the image reaches the extractor, how its 7 x 7 map is pooled.
    resize: Resize = "bilinear"  # authors: Pillow 6.0's default, nearest
    pooling: Pooling = "global"  # authors: top-left 4 x 4 cells alone

    # Reward, AC-1 and AC-3.
    reference_labels: int = 5  # K at most, AC-1; authors: 1
    alpha: float = 1.0  # AC-3; authors
    beta: float = 0.0  # AC-3; authors

    # Q-network and Adam, AC-4 and AC-5; the text is silent, so the authors' numbers.
    hidden: tuple[int, ...] = (64, 32, 32)
    anchor: float = 0.0  # pull towards what was known before, in transitions; see survival.py
    anchor_untrained: float = 0.0  # the same while nothing is known
    learning_rate: float = 0.002
    beta_1: float = 0.9
    beta_2: float = 0.999
    adam_epsilon: float = 1e-7
    gamma: float = 0.95
    target: Literal["drawn", "stored"] = "drawn"  # when y of AC-5 is computed; authors: stored
    hold_other_outputs: bool = True  # the other outputs' targets are their values at the draw, and
    # passes 2 to 5 pull them back; False: AC-5's loss as printed, which overshoots with this gamma

    # Replay memory D and Algorithm 1, AC-6; the authors' numbers.
    replay_capacity: int = 2000
    batch_size: int = 256
    gradient_passes: int = 5  # over each drawn minibatch
    learning_starts: int = 128  # T_start
    learn_every: int = 5
    training_steps: int = 1600
    epsilon_decay: float = 0.99  # per learning step
    epsilon_min: float = 0.02
    epsilon_dips: bool = False  # authors: epsilon falls below the minimum, then jumps back to it

    # The three states, AC-7 and AC-8; the authors' numbers.
    window: int = 10  # n
    window_includes_current: bool = True  # authors: the mean is recorded before the step is added
    p_0: float = 0.2
    p_min: float = 0.2
    p_max: float = 0.95
    omega: float = -3.0
    retrain_rule: Literal["earliest", "threshold", "surprise"] = "earliest"  # authors: threshold;
    # surprise: P(labels survive) was too high for chance, see changes.py
    surprise_slack: float = 0.05  # below P, for which nothing is done
    surprise_limit: float = 5.0  # in labels lost beyond that
    shift_limit: float = 0.0  # of states or scores, in standard errors; above it: suspect; 0: never
    suspect_for: int = 40  # estimates, at p_max (at first at p_0), unless retraining comes first
    learn_in_estimates: bool = False  # the text and the authors learn in retraining alone
    retrain_drop: float = 0.1  # "well below the earliest n"
    retrain_threshold: float = 0.8  # authors
    return_reward: float = 0.45  # r_th
    return_accuracy: float | None = None  # authors: 0.8 as well
    return_epsilon: float | None = 1.0  # epsilon is below this; 1: learning has begun; authors: 0.2
    flush: Literal["exit", "entry"] = "exit"  # of retraining; text: after it; authors: at entry
    explore_anew: bool = True  # at each retraining; authors: at the first alone

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            if not _is_a(value := getattr(self, name), kind):
                raise ValueError(f"config field {name!r}: {value!r} does not fit {kind}")
        if not self.encodings or len(set(self.encodings)) != len(self.encodings):
            raise ValueError("config field 'encodings': at least one, and each once")
        if not (0 <= self.beta_1 < 1 and 0 <= self.beta_2 < 1):
            raise ValueError("config fields 'beta_1' and 'beta_2': from 0 to below 1")
        if self.state == "drift" and (self.gamma or self.alpha <= 0):
            raise ValueError("config field 'state': drift needs gamma 0 and alpha above 0")
        if self.retrain_rule == "surprise" and self.state != "drift":
            raise ValueError("config field 'retrain_rule': surprise needs state drift")
        if self.shift_limit and self.retrain_rule != "surprise":  # nothing else would end suspicion
            raise ValueError("config field 'shift_limit': must be 0 without retrain_rule surprise")

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values; encodings by name."""
        fields = dataclasses.asdict(self)
        fields["encodings"] = [encoding.name for encoding in self.encodings]
        fields["hidden"] = list(self.hidden)
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Config:
        """The inverse of `to_json`. Raises ValueError for a field that does not exist or fit."""
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"config field {unknown[0]!r} is not known to this version")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        if "encodings" in values:
            names = values["encodings"]
            if not _is_a(names, tuple[str, ...]):
                raise ValueError(f"config field 'encodings': {names!r} is not a list of names")
            values["encodings"] = tuple(Encoding.parse(name) for name in names)
        return cls(**values)


_TUNED = Config(
    preset="tuned",
    state="drift",
    reference_labels=1,
    hidden=(),  # hidden layers lose reward at so few inputs and uploads
    anchor=3.0,
    anchor_untrained=0.3,
    learning_rate=0.004,
    gamma=0.0,
    hold_other_outputs=False,
    replay_capacity=4000,
    gradient_passes=15,
    learning_starts=10,
    learn_every=1,
    training_steps=4000,
    epsilon_decay=1.0,  # as long as it trains, it explores: only what is promising
    epsilon_min=1.0,
    window=30,
    p_0=0.25,
    p_min=0.02,
    p_max=1.0,
    omega=-0.5,
    retrain_rule="surprise",
    shift_limit=5.0,
    learn_in_estimates=True,
    flush="entry",
)
DEFAULT_PRESET = "tuned"
PRESETS = {
    "tuned": _TUNED,
    "ladder": _TUNED.replace(
        preset="ladder",
        encodings=LADDER,
        own_drift=True,
        replay_capacity=8000,
        training_steps=8000,
    ),
    "fast": _TUNED.replace(
        preset="fast",
        encodings=tuple(Encoding("jpeg", None, quality) for quality in (5, 15, 25, 35, 75)),
        glance=False,
        size_sample=3,
    ),
    "paper": Config(),
    "authors": Config(
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
    ),
}


def preset(name: str) -> Config:
    """The config of a preset. Raises ValueError if there is none of that name."""
    if name not in PRESETS:
        raise ValueError(f"preset {name!r}: must be one of {', '.join(PRESETS)}")
    return PRESETS[name]
