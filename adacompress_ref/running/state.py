"""A running system on disk: the state folder of `adacompress run`.

`state.npz` holds it as it was after so many lines of `log.jsonl`, `state.previous.npz` as it was
before that. On return, lines that the state does not know of are learned from again, so that an
interrupted run ends as an uninterrupted one, and nothing is paid for twice. `times.jsonl` has what
differs between runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import agents
from ..core.controller import Controller
from ..services.jsonlines import append_line, mend, read_lines
from ..storage import snapshot
from ..storage.arrays import PARTIAL, load_arrays, save_arrays, sync_folder
from ..storage.files import printable, reason
from . import runlog

FILE_FORMAT = 5
OTHER_FOLDER = "name another --state folder (of train: another -o)"
SAVE_EVERY = 25  # images


class StateError(ValueError):
    """A state folder cannot be used."""


def revive(fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> Controller:
    """A running system, of what `agents.describe` and `snapshot.pack` gave. Raises anything."""
    agent = agents.built(fields, np.random.default_rng())
    controller = Controller(agent, agents.monitor_of(agent))
    snapshot.unpack(controller, fields["running"], arrays)
    return controller


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "state.npz", folder / "state.previous.npz"


def load(folder: Path, lines: int) -> tuple[Controller, dict[str, Any], str] | None:
    """The running system as last saved, or as before that where it is damaged; None where none was.

    With it come its `settings` and the `lines` that it knows of, and what was mended. The log has
    so many `lines`. Raises StateError where there is no whole one, or another version wrote it.
    """
    damaged = ""
    for file in _files(folder):
        if not file.exists():
            continue
        try:
            fields, arrays = load_arrays(file)
            if fields["format"] != FILE_FORMAT:
                age = "a newer" if fields["format"] > FILE_FORMAT else "an older"
                raise StateError(
                    f"{file}: written by {age} version of adacompress_ref (format "
                    f"{fields['format']!r:.20}, this one has {FILE_FORMAT}); use that version, or "
                    f"{OTHER_FOLDER}"
                )
            if fields["lines"] > lines:
                raise ValueError("log.jsonl has lost lines that it knows of")
            controller = revive(fields, arrays)
        except StateError:
            raise
        except Exception as error:  # damaged in any of many ways
            damaged = damaged or f"{file}: damaged ({reason(error)})"
            continue
        notice = f"{damaged}; went on from {file.name}" if damaged else ""
        return controller, fields, notice
    if damaged:
        raise StateError(f"{damaged}, and there is no whole one before it; {OTHER_FOLDER}")
    return None


class StateFolder:
    """The folder `path`, made if it is not there, and this process's alone until it ends.

    `settings` must be the same at each return; `check` raises ValueError for what is no line of
    the log. After opening, `controller` is as it was saved, None in a new folder, `lines` is the
    log, and `known` says how many of them the controller has learned from. `notice` says what was
    mended. All methods raise StateError: where the folder holds something else, belongs to another
    process or cannot be written, or where neither of its states is whole.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: dict[str, Any],
        check: Callable[[dict[str, Any]], None] = runlog.check,
    ) -> None:
        self.path, self.settings = Path(path), settings
        self.file, self.previous = _files(self.path)
        self.log_path, self.times_path = self.path / "log.jsonl", self.path / "times.jsonl"
        self.known, self.notice = 0, ""
        self._lock: int | None = None
        with self._named():
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            try:
                self.lines = self._read_log(check)
                self.controller = self._load()
                mend(self.log_path)
                self.times = self._read_times()
                for left_over in self.path.glob(f".*{PARTIAL}"):  # of runs that were killed
                    left_over.unlink()
            except BaseException:
                self.close()
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What the system says, as a StateError that names the file, or else the folder."""
        try:
            yield
        except OSError as error:
            place = printable(str(error.filename or self.path))
            raise StateError(f"{place}: {reason(error)}; mend that, or {OTHER_FOLDER}") from error

    def _locked(self) -> int:
        """A descriptor that no other process can lock; the system frees it when we end."""
        try:
            if sys.platform == "win32":
                import msvcrt

                lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT)
                msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                lock = os.open(self.path, os.O_RDONLY)  # the folder itself cannot be deleted
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise StateError(
                f"{self.path}: in use by another run; wait for its end, or {OTHER_FOLDER}"
            ) from error
        return lock

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    __del__ = close

    def _load(self) -> Controller | None:
        saved = load(self.path, len(self.lines))
        if not saved:
            if self.lines:
                raise StateError(f"{self.path}: has a log.jsonl but no state.npz; {OTHER_FOLDER}")
            return None
        controller, fields, self.notice = saved
        self.known = fields["lines"]
        for name, value in self.settings.items():
            before = fields["settings"].get(name)
            if before != value:
                was = f"no {name}" if before is None else f"{name} {before!r:.100}"
                now = "there is none" if value is None else f"it is {value!r}"
                raise StateError(f"{self.path}: its run has {was}, now {now}; {OTHER_FOLDER}")
        return controller

    def _read_log(self, check: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        try:
            return read_lines(self.log_path, check)
        except ValueError as error:
            raise StateError(f"{self.log_path}: damaged, {error}; {OTHER_FOLDER}") from error

    def _read_times(self) -> list[dict[str, Any]]:
        """They are for information: what is damaged is passed over."""
        try:
            mend(self.times_path, len(self.lines))
            return read_lines(self.times_path)
        except (ValueError, OSError):
            return []

    def append(self, line: dict[str, Any], times: dict[str, Any]) -> None:
        """Add one image to the logs; it is on disk when this returns."""
        with self._named():
            append_line(self.times_path, times)
            append_line(self.log_path, line)
        self.lines.append(line)
        self.times.append(times)

    def save(self, controller: Controller) -> None:
        """The state after all lines logged so far; the one before is kept beside it."""
        running, arrays = snapshot.pack(controller)
        fields = agents.describe(controller.agent) | {"running": running}
        fields |= {"format": FILE_FORMAT, "settings": self.settings, "lines": len(self.lines)}
        with self._named():
            if not self.notice and self.file.exists():
                os.replace(self.file, self.previous)
                sync_folder(str(self.path))
            save_arrays(self.file, fields, arrays)
        self.notice = ""
