"""All of a running system as JSON values and arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.agent import DQNAgent
from ..core.config import Config
from ..core.controller import Controller
from ..core.replay import Replay

# What an Estimator remembers.
_WINDOWS = ("earliest", "accuracies", "rewards")
_NUMBERS = ("recorded", "mean_accuracy", "previous_mean", "mean_reward", "p_est")


def pack(controller: Controller) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """All of a running system as JSON values and arrays."""
    agent, estimator = controller.agent, controller.estimator
    windows = {name: list(getattr(estimator, name)) for name in _WINDOWS}
    fields = {
        "config": controller.config.to_json(),
        "stamp": agent.stamp,
        "state": controller.state,
        "initial": controller.initial,
        "windows": windows | {name: getattr(estimator, name) for name in _NUMBERS},
        "watch": controller.watch.to_json(),
        "suspected": controller.suspected,
        "goal": controller.goal,
        "generator": agent.rng.bit_generator.state,
        "remembered": agent.replay.count,
    }
    arrays = agent.to_arrays()
    for name, column in _columns(agent.replay).items():
        arrays[f"replay_{name}"] = column[: len(agent.replay)]
    if controller.recent:
        arrays["recent"] = np.stack(controller.recent)
    if controller.pending is not None:
        state, action, reward = controller.pending
        arrays |= {
            "pending_state": state,
            "pending_action": np.array(action),
            "pending_reward": np.array(reward),
        }
    return fields, arrays


def unpack(fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> Controller:
    """The inverse of `pack`; raises whatever a damaged value leads to."""
    config = Config.from_json(fields["config"])
    rng = np.random.default_rng()
    inputs = arrays["replay_states"].shape[1]
    controller = Controller(DQNAgent.create(config, inputs, rng, fields["stamp"]))
    agent = controller.agent
    seen = (len(config.encodings), inputs) if config.state == "drift" else (inputs,)
    agent.from_arrays(arrays)
    rng.bit_generator.state = fields["generator"]
    agent.replay.count = fields["remembered"]
    for name, column in _columns(agent.replay).items():
        _check(f"replay_{name}", arrays[f"replay_{name}"], column[: len(agent.replay)].shape)
        column[: len(agent.replay)] = arrays[f"replay_{name}"]
    controller.state, controller.initial = fields["state"], fields["initial"]
    if controller.state not in ("inference", "estimate", "retrain"):
        raise ValueError(f"state is {controller.state!r:.40}")
    for name in _WINDOWS:  # empty as yet
        getattr(controller.estimator, name).extend(map(float, fields["windows"][name]))
    for name in _NUMBERS:
        kind = int if name == "recorded" else float
        setattr(controller.estimator, name, kind(fields["windows"][name]))
    controller.watch.from_json(fields["watch"])
    controller.suspected = fields["suspected"]
    controller.goal = None if fields["goal"] is None else float(fields["goal"])
    controller.recent.extend(arrays.get("recent", ()))
    for state in controller.recent:
        _check("recent", state, seen)
    if "pending_state" in arrays:
        action, reward = int(arrays["pending_action"]), float(arrays["pending_reward"])
        _check("pending_state", arrays["pending_state"], seen)
        if not 0 <= action < len(config.encodings):
            raise ValueError(f"pending_action is {action}")
        controller.pending = (arrays["pending_state"], action, reward)
    return controller


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {shape}")


def _columns(replay: Replay) -> dict[str, np.ndarray]:
    names = ("states", "actions", "values", "next_states")
    columns = {name: getattr(replay, name) for name in names}
    return {name: column for name, column in columns.items() if column is not None}
