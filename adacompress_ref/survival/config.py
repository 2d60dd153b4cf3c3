"""Every constant of the project's own agent, and its presets."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.config import BaseConfig, within


@dataclass(frozen=True)
class SurvivalConfig(BaseConfig):
    """The defaults are preset `tuned`; what the paper has too is in `core.config`."""

    preset: str = "tuned"
    encodings: tuple[str, ...] = tuple(f"jpeg-q{quality}" for quality in (5, 15, 25, 35, 75))
    reference_labels: int = within("[1, inf)", 1)
    alpha: float = within("(0, inf)", 4.5)  # where no service answers, as in `compress`
    replay_capacity: int = within("[1, inf)", 2000)
    training_steps: int = within("[1, inf)", 1000)  # where it begins with nothing, live

    agreement: float = within("(0, 1]", 0.95)  # aimed at, unless told otherwise
    goal_images: int = within("[1, inf)", 200)  # the latest, on which it is to be reached

    window: int = within("[1, inf)", 15)
    early_images: int = within("[1, inf)", 150)  # at first, and after each retraining
    early_losses: float = within("(0, inf)", 2.0)  # p_est then, of labels lost: 2 (1 - agreement)
    p_0: float = within("[0, 1]", 0.2)  # at most then
    share: float = within("[0, inf)", 0.8)  # later: bytes of references, of others' (1 - agreement)
    p_min: float = within("[0, 1]", 0.006)
    p_max: float = within("[0, 1]", 1.0)
    surprise_slack: float = within("[0, 1]", 0.05)  # below P, for which nothing is done
    surprise_limit: float = within("(0, inf)", 4.0)  # in labels lost beyond that
    shift_limit: float = within("(0, inf)", 5.0)  # of states or scores, in standard errors
    suspect_for: int = within("[0, inf)", 15)  # estimates, unless retraining comes first


TUNED = SurvivalConfig()
_RUNGS = {  # of `ladder`: qualities by format and short side
    **{f"jpeg-{side}": (20, 35) for side in (160, 192)},
    **{f"jpeg-{side}": (20, 35, 55) for side in (224, 288)},
    "jpeg": (45, 75),
    "webp-160": (40, 60),
    **{f"webp-{side}": (60,) for side in (192, 224)},
    **{size: (40, 60) for size in ("webp-288", "webp")},
}
LADDER = TUNED.replace(
    preset="ladder",
    encodings=tuple(f"{size}-q{quality}" for size, all_ in _RUNGS.items() for quality in all_),
    replay_capacity=4000,
    training_steps=2000,
)
PRESETS = (TUNED, LADDER)
