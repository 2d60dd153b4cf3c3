"""Presets by name, what plays together in each, and agents on disk.

A new kind of agent is a room of its own (config, agent, monitor, view) and one entry of KINDS.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .core import config as core
from .core.agent import DQNAgent
from .core.config import BaseConfig
from .core.estimator import Estimator
from .core.roles import Agent, Image, Monitor, Step
from .core.training import train
from .storage import snapshot
from .storage.arrays import load_arrays, save_arrays
from .storage.files import reason
from .survival import config as survival
from .survival.agent import SurvivalAgent
from .survival.monitor import Surprise

if TYPE_CHECKING:
    from .views import View

FILE_FORMAT = 2  # of saved agents
DEFAULT_PRESET = "tuned"


class AgentError(ValueError):
    """An agent file cannot be read, or does not fit what it is loaded into."""


class Kind(NamedTuple):
    """What plays together."""

    config: Callable[..., BaseConfig]
    agent: Callable[..., Any]
    monitor: Callable[[Any], Monitor]
    view: Callable[..., View]
    study: Callable[..., None]
    presets: tuple[BaseConfig, ...]


def _features(config: core.Config, channels: int) -> View:
    from .views.features import FeatureView  # here, as all else needs NumPy alone

    return FeatureView(config, channels)


def _drift(config: survival.SurvivalConfig, channels: int) -> View:
    from .views.drift import DriftView

    return DriftView(config)


def _replay(agent: Any, services: Sequence[Sequence[Image]], on_step: Callable[..., None]) -> None:
    train(agent, Estimator(agent), [image for images in services for image in images], on_step)


KINDS = {
    "paper": Kind(core.Config, DQNAgent, Estimator, _features, _replay, core.PRESETS),
    "survival": Kind(
        *(survival.SurvivalConfig, SurvivalAgent, Surprise, _drift),
        lambda agent, services, on_step: agent.study(services),
        survival.PRESETS,
    ),
}


def presets() -> dict[str, BaseConfig]:
    """The config of every preset, by name."""
    return {config.preset: config for kind in KINDS.values() for config in kind.presets}


def preset(name: str) -> Any:
    """The config of a preset. Raises ValueError if there is none of that name."""
    known = presets()
    if name not in known:
        raise ValueError(f"preset {name!r}: must be one of {', '.join(known)}")
    return known[name]


def _kind(config: BaseConfig) -> str:
    for name, kind in KINDS.items():
        if type(config) is kind.config:
            return name
    raise TypeError(
        f"a config is what preset() returns, or another of its class, not {config!r:.60}"
    )


def view_of(config: BaseConfig, channels: int = 1280) -> View:
    """How its agent sees images. Raises TypeError for no config, ValueError for its encodings."""
    return KINDS[_kind(config)].view(config, channels)


def new_agent(config: BaseConfig, rng: np.random.Generator, channels: int = 1280) -> Any:
    """An untrained agent, with epsilon 1; `channels` of E's map. Raises as `view_of` does.

    Before it is saved, `agent.stamp = {"extractor": view.stamp(sha256), "trained_on": digests}`
    says of which states it has learned, as no others fit, and of which photographs.
    """
    return KINDS[_kind(config)].agent(config, view_of(config, channels).inputs, rng)


def study(
    agent: Agent,
    services: Sequence[Sequence[Image]],
    on_step: Callable[[Step], None] = lambda step: None,
) -> None:
    """Train a new agent on recorded images, service by service; ready to exploit afterwards.

    `paper` and `authors` by Algorithm 1, calling `on_step` after each measurement; the others at
    once. Raises ValueError where no image has a label.
    """
    KINDS[_kind(agent.config)].study(agent, services, on_step)


def monitor_of(agent: Agent) -> Monitor:
    """A new monitor for an agent."""
    return KINDS[_kind(agent.config)].monitor(agent)


def describe(agent: Any) -> dict[str, Any]:
    """JSON from which `_built` makes an agent of the same shape."""
    config = {"kind": _kind(agent.config), "config": dataclasses.asdict(agent.config)}
    return config | {"inputs": agent.inputs, "stamp": agent.stamp}


def built(description: dict[str, Any], rng: np.random.Generator) -> Any:
    """An agent of what `describe` gave. Raises whatever a damaged value leads to."""
    kind = KINDS[description["kind"]]
    if description["config"].keys() != dataclasses.asdict(kind.presets[0]).keys():
        raise AgentError("its settings are of another version; train one again from its table")
    agent = kind.agent(kind.config(**description["config"]), int(description["inputs"]), rng)
    agent.stamp = description["stamp"]
    return agent


def save(agent: Any, path: str | os.PathLike[str]) -> None:
    """Config, stamp, parameters and optimiser to one .npz, whole or not at all. Raises OSError."""
    fields, arrays = snapshot.pack(agent, leave=agent.MEMORY)
    save_arrays(path, describe(agent) | {"format": FILE_FORMAT, "learned": fields}, arrays)


def load(path: str | os.PathLike[str], rng: np.random.Generator | None = None) -> Any:
    """Read what `save` wrote; ready to exploit (epsilon 0). Raises AgentError."""
    try:
        description, arrays = load_arrays(path)
        if "kind" not in description and "encodings" in description:
            raise AgentError("this is a table, of which train makes an agent")
        if description["format"] != FILE_FORMAT:
            raise AgentError(
                f"another version wrote it, in format {description['format']!r:.40}; train it "
                "again from its table"
            )
        agent = restored(description, description["learned"], arrays, rng)
    except FileNotFoundError as error:
        raise AgentError(f"{path}: there is no such file") from error
    except Exception as error:  # damaged in any of many ways
        raise AgentError(f"{path}: not an agent that can be used ({reason(error)})") from error
    return agent


def restored(
    description: dict[str, Any],
    learned: dict[str, Any],
    arrays: dict[str, np.ndarray],
    rng: np.random.Generator | None,
) -> Any:
    """An agent with what it has learned of services in general. Raises whatever damage leads to."""
    agent = built(description, rng or np.random.default_rng())
    snapshot.unpack(agent, learned, arrays, leave=agent.MEMORY)
    if not 0 < agent.alpha < 1e6:
        raise AgentError(f"its alpha is {agent.alpha}, which must be above 0 and below 1e6")
    agent.begin_training()  # of the service at hand nothing is known
    agent.epsilon, agent.steps = 0.0, 0
    return agent


def check_fits(agent: Agent, stamp: dict[str, Any]) -> None:
    """Raise AgentError unless an agent has states as a view's `stamp` says."""
    trained = agent.stamp.get("extractor")
    if not isinstance(trained, dict) or "sha256" not in trained:
        raise AgentError(
            "the agent does not say what it learned from: set its stamp, see new_agent"
        )
    if trained["sha256"] != stamp["sha256"]:
        raise AgentError(
            f"the agent was trained with another extractor, {trained['sha256']!s:.8}, than the one "
            f"here, {stamp['sha256']:.8}; name that one as extractor, or train with this one"
        )
    if trained != stamp:
        raise AgentError(f"the agent was trained on other states: {trained}; here: {stamp}")
