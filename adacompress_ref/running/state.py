"""A running system on disk: the state folder of `adacompress run`.

`state.npz` holds agent, optimiser, D, windows and generator as they were after so many lines of
`log.jsonl`, `state.previous.npz` the same of the time before, in case the newer one is damaged.
The log only grows: on return, lines that the state does not know of are learned from again (see
runlog.py), so that an interrupted run ends as an uninterrupted one, and what is logged is not paid
for twice. `times.jsonl` has what differs between runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import agents
from ..core.controller import Controller
from ..storage import snapshot
from ..storage.arrays import PARTIAL, load_arrays, save_arrays, sync_folder
from ..storage.files import printable, reason
from ..storage.jsonlines import append_line, mend, read_lines

FILE_FORMAT = 5
SAVE_EVERY = 25  # images


class StateError(ValueError):
    """A state folder cannot be used."""


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
        check: Callable[[dict[str, Any]], None],
    ) -> None:
        self.path, self.settings = Path(path), settings
        self.file, self.previous = self.path / "state.npz", self.path / "state.previous.npz"
        self.log_path, self.times_path = self.path / "log.jsonl", self.path / "times.jsonl"
        self.known, self.notice = 0, ""
        self._lock: int | None = None
        with self._named():
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            try:
                self.lines = self._read_log(check)
                self.controller = self.load()
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
            raise StateError(
                f"{place}: {reason(error)}; mend that, or name another --state folder"
            ) from error

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
                f"{self.path}: in use by another run; wait for its end, or name another folder"
            ) from error
        return lock

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    __del__ = close

    def load(self) -> Controller | None:
        """The controller as last saved, or as saved before that where the file is damaged."""
        damaged = ""
        for file in (self.file, self.previous):
            if not file.exists():
                continue
            try:
                controller = self._load(file)
            except StateError:
                raise
            except Exception as error:  # damaged in any of many ways
                damaged = damaged or f"{file}: damaged ({reason(error)})"
                continue
            if damaged:
                self.notice = f"{damaged}; went on from {file.name}"
            return controller
        if damaged:
            raise StateError(f"{damaged}, and there is no whole one before it; name another folder")
        if self.log_path.exists() and self.log_path.stat().st_size:
            raise StateError(f"{self.path}: has a log.jsonl but no state.npz; name another folder")
        return None

    def _load(self, file: Path) -> Controller:
        fields, arrays = load_arrays(file)
        if fields["format"] != FILE_FORMAT:
            age = "a newer" if fields["format"] > FILE_FORMAT else "an older"
            raise StateError(
                f"{file}: written by {age} version of adacompress_ref (format "
                f"{fields['format']!r:.20}, "
                f"this one has {FILE_FORMAT}); use that version, or name another folder"
            )
        for name, value in self.settings.items():
            if fields["settings"][name] != value:
                raise StateError(
                    f"{self.path}: its run has {name} {fields['settings'][name]!r:.100}, "
                    f"now it is {value!r}; name another --state folder"
                )
        if int(fields["lines"]) > len(self.lines):
            raise ValueError("log.jsonl has lost lines that it knows of")
        controller = agents.revive(fields, arrays)
        self.known = int(fields["lines"])
        return controller

    def _read_log(self, check: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        try:
            return read_lines(self.log_path, check)
        except ValueError as error:
            raise StateError(
                f"{self.log_path}: damaged, {error}; name another --state folder"
            ) from error

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
