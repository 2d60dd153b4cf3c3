"""A running system on disk: the state folder of `adacompress run`.

`state.npz` holds agent, optimiser, D, windows and generator as they were after so many lines of
`log.jsonl`. On return the log is cut back to those lines and the rest done again, so that an
interrupted run ends as an uninterrupted one. `times.jsonl` has what differs between runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .agent import DQNAgent
from .arrays import load_arrays, save_arrays
from .config import Config
from .controller import Controller
from .files import reason
from .replay import Replay

FILE_FORMAT = 3
SAVE_EVERY = 25  # images
# What an Estimator remembers.
_WINDOWS = ("earliest", "accuracies", "rewards")
_NUMBERS = ("recorded", "mean_accuracy", "previous_mean", "mean_reward", "p_est")


class StateError(ValueError):
    """A state folder cannot be used."""


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
    agent.from_arrays(arrays)
    rng.bit_generator.state = fields["generator"]
    agent.replay.count = fields["remembered"]
    for name, column in _columns(agent.replay).items():
        column[: len(agent.replay)] = arrays[f"replay_{name}"]
    controller.state, controller.initial = fields["state"], fields["initial"]
    for name in _WINDOWS:  # empty as yet
        getattr(controller.estimator, name).extend(fields["windows"][name])
    for name in _NUMBERS:
        setattr(controller.estimator, name, fields["windows"][name])
    controller.watch.from_json(fields["watch"])
    controller.suspected, controller.goal = fields["suspected"], fields["goal"]
    controller.recent.extend(arrays.get("recent", ()))
    if "pending_state" in arrays:
        action, reward = int(arrays["pending_action"]), float(arrays["pending_reward"])
        controller.pending = (arrays["pending_state"], action, reward)
    return controller


def _columns(replay: Replay) -> dict[str, np.ndarray]:
    names = ("states", "actions", "values", "next_states")
    columns = {name: getattr(replay, name) for name in names}
    return {name: column for name, column in columns.items() if column is not None}


class StateFolder:
    """The folder `path`, made if it is not there. `settings` must be the same at each return.

    Each line of the log has `fields`. All methods raise StateError, where the folder holds
    something else or something damaged, or cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], settings: dict[str, Any], fields: Sequence[str]
    ) -> None:
        self.path, self.settings, self.fields = Path(path), settings, fields
        self.file = self.path / "state.npz"
        self.log_path, self.times_path = self.path / "log.jsonl", self.path / "times.jsonl"
        self.count = 0  # lines of the log that the state knows of
        with self._named():
            self.path.mkdir(parents=True, exist_ok=True)
            self.controller = self._load()
            self.lines = self._cut_logs()  # for reading; `append` adds to the file
            for left_over in self.path.glob("state.npz.*.partial"):  # of runs that were killed
                left_over.unlink()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What the system says, as a StateError that names the folder."""
        try:
            yield
        except OSError as error:
            raise StateError(f"{self.path}: {reason(error)}") from error

    def _load(self) -> Controller | None:
        if not self.file.exists():
            if self.log_path.exists() and self.log_path.stat().st_size:
                raise StateError(
                    f"{self.path}: has a log.jsonl but no state.npz; name another folder"
                )
            return None
        try:
            fields, arrays = load_arrays(self.file)
            if fields["format"] != FILE_FORMAT:
                raise StateError(f"{self.file}: written by another version; start a new folder")
            for name, value in self.settings.items():
                if fields["settings"][name] != value:
                    raise StateError(
                        f"{self.path}: its run has {name} {fields['settings'][name]!r}, "
                        f"now it is {value!r}; name another --state folder"
                    )
            self.count = int(fields["lines"])
            return unpack(fields, arrays)
        except StateError:
            raise
        except Exception as error:  # damaged in any of many ways
            raise StateError(f"{self.file}: damaged ({error}); name another folder") from error

    def _cut_logs(self) -> list[dict[str, Any]]:
        """Keep the lines that the state knows of, and return those of the log."""
        if self.count and not self.log_path.exists():
            raise StateError(f"{self.log_path}: missing; the state knows of {self.count} lines")
        log, times = (_whole_lines(path, self.count) for path in (self.log_path, self.times_path))
        if len(log) < self.count:
            raise StateError(f"{self.log_path}: has lost lines that the state knows of")
        try:
            lines = [json.loads(line) for line in log]
        except ValueError as error:
            raise StateError(f"{self.log_path}: damaged ({reason(error)})") from error
        for number, line in enumerate(lines, 1):
            if not isinstance(line, dict) or not line.keys() >= set(self.fields):
                raise StateError(f"{self.log_path}: damaged, line {number} is not of a run")
        for path, kept in ((self.log_path, log), (self.times_path, times)):
            with open(path, "ab") as file:
                file.truncate(sum(map(len, kept)))
        return lines

    def append(self, line: dict[str, Any], times: dict[str, Any]) -> None:
        """Add one image to the logs."""
        with self._named():
            for path, entry in ((self.log_path, line), (self.times_path, times)):
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
        self.count += 1

    def save(self, controller: Controller) -> None:
        """The state after the lines logged so far."""
        fields, arrays = pack(controller)
        fields |= {"format": FILE_FORMAT, "settings": self.settings, "lines": self.count}
        with self._named():
            with open(self.log_path, "ab") as file:
                os.fsync(file.fileno())  # so that the log is never shorter than the state says
            save_arrays(self.file, fields, arrays)


def _whole_lines(path: Path, most: int) -> list[bytes]:
    """The first lines of a file, none if there is no file."""
    if not path.exists():
        return []
    with open(path, "rb") as file:
        return [line for _, line in zip(range(most), file, strict=False) if line.endswith(b"\n")]
