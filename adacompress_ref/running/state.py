"""A running system on disk: the state folder of `adacompress run`.

`state.npz` holds it as it was after so many lines of `log.jsonl`, `state.previous.npz` as it was
before that. On return, lines that the state does not know of are learned from again, so that an
interrupted run ends as an uninterrupted one. `seen` has what was sent, so that nothing is paid for
twice whatever becomes of the log. `times.jsonl` has what differs between runs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import agents
from ..agents import AgentError
from ..core.controller import Controller
from ..services.jsonlines import append_line, mend, read_lines
from ..storage import snapshot
from ..storage.arrays import PARTIAL, load_arrays, save_arrays, sync_folder
from ..storage.files import printable, reason
from . import runlog
from .lock import OTHER_FOLDER, StateError, lock
from .seen import Seen, Trouble

FILE_FORMAT = 6
SAVE_EVERY = 25  # images
BLOCK = 4096  # bytes


def revive(fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> Controller:
    """A running system, of what `agents.describe` and `snapshot.pack` gave. Raises anything."""
    agent = agents.built(fields, np.random.default_rng())
    controller = Controller(agent, agents.monitor_of(agent))
    snapshot.unpack(controller, fields["running"], arrays)
    return controller


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "state.npz", folder / "state.previous.npz"


def load(folder: Path) -> tuple[Controller, dict[str, Any], str] | None:
    """The running system as last saved, or as before that where it is damaged; None where none was.

    With it come its `settings`, the `totals` of the log `lines` that it knows of, where in the log
    these `end`, and what was mended. Raises StateError where there is no whole one, or another
    version wrote it.
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
                    f"{fields['format']!r:.20}, this one has {FILE_FORMAT}); {OTHER_FOLDER}, and "
                    f"take its agent along with --agent {folder}"
                )
            controller = revive(fields, arrays)
            runlog.figures(fields["totals"], [], failed=fields["lines"] + fields["end"])
        except StateError:
            raise
        except Exception as error:  # damaged in any of many ways
            damaged = damaged or f"{file}: damaged, or of another version ({reason(error)})"
            continue
        notice = f"{damaged}; went on from {file.name}" if damaged else ""
        return controller, fields, notice
    if damaged:
        raise StateError(f"{damaged}, and there is no whole one before it; {OTHER_FOLDER}")
    return None


def file_of(agent: str | os.PathLike[str]) -> Path:
    """The file that an agent is in: a state folder has it in its state."""
    return _files(Path(agent))[0] if os.path.isdir(agent) else Path(agent)


def agent_in(folder: str | os.PathLike[str], rng: np.random.Generator) -> Any:
    """The agent of a state folder, of another version too. Raises AgentError."""
    file = file_of(folder)
    try:
        fields, arrays = load_arrays(file)
        inner = {name.removeprefix("agent."): array for name, array in arrays.items()}
        return agents.restored(fields, fields["running"]["agent"], inner, rng)
    except Exception as error:  # damaged in any of many ways
        raise AgentError(f"{file}: no agent can be taken from it ({reason(error)})") from error


class StateFolder:
    """The folder `path`, made if it is not there, and this process's alone until it ends.

    `settings` must be the same at each return; `check` raises ValueError for what is no line of
    the log. After opening, `controller` is as it was saved, None in a new folder; `lines` counts
    all that were ever logged, `missed` are those that the controller has not learned from. As lines
    have numbers, no more of the log is read, and it may be moved away or cut at any time. `notice`
    says what was mended. All methods raise StateError: where the folder holds something else,
    belongs to another process or cannot be written, or where neither of its states is whole.
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
        self.controller: Controller | None = None
        self.lines, self.notice, self.totals = 0, "", dict[str, Any]()
        self._lock: int | None = None
        self.seen: Any = None
        with self._named():
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path)
            try:
                end, mark = self._load()
                self.seen = Seen(self.path)
                mend(self.log_path)
                mend(self.times_path)
                self.missed = self._read_log(end if self._mark(end) == mark else 0, check)
                if self.missed and (gone := self.missed[0]["number"] - self.lines - 1):
                    self.notice += f"{gone} lines are gone from {self.log_path}, not learned from"
                for line in self.missed:
                    self._note(line)
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

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self.seen:
            self.seen.file.close()

    __del__ = close

    def _load(self) -> tuple[int, str]:
        """Where in the log the lines end that the state knows of, and a mark of that place."""
        saved = load(self.path)
        if not saved:
            if self.log_path.exists() and self.log_path.stat().st_size:
                raise StateError(f"{self.path}: has a log.jsonl but no state.npz; {OTHER_FOLDER}")
            return 0, ""
        self.controller, fields, self.notice = saved
        self.lines, self.totals = fields["lines"], fields["totals"]
        if self.lines and not (self.path / "seen").exists():
            raise StateError(f"{self.path}: has no list of what was sent, `seen`; {OTHER_FOLDER}")
        for name, value in self.settings.items():
            before = fields["settings"].get(name)
            if before != value:
                was = f"no {name}" if before is None else f"{name} {before!r:.100}"
                now = "there is none" if value is None else f"it is {value!r}"
                raise StateError(f"{self.path}: its run has {was}, now {now}; {OTHER_FOLDER}")
        return fields["end"], fields["mark"]

    def _mark(self, end: int) -> str:
        """Tells a log by what it has before this place."""
        with suppress(FileNotFoundError), open(self.log_path, "rb") as file:
            file.seek(max(0, end - BLOCK))
            return hashlib.sha256(file.read(min(end, BLOCK))).hexdigest()
        return ""

    def _read_log(
        self, start: int, check: Callable[[dict[str, Any]], None]
    ) -> list[dict[str, Any]]:
        """Lines from there on that the state does not know of."""

        def numbered(line: dict[str, Any]) -> None:
            if not isinstance(line.get("number"), int):
                raise ValueError("has no number")
            check(line)

        try:
            lines = read_lines(self.log_path, numbered, start)
        except ValueError as error:
            fault = f"damaged, after byte {start:,} {error}"
            raise StateError(f"{self.log_path}: {fault}; {OTHER_FOLDER}") from error
        return [line for line in lines if line["number"] > self.lines]

    def _note(self, line: dict[str, Any], *stamp: object) -> None:
        name, sha256, error = line["image"], line["sha256"], line["error"]
        if error is None:
            self.seen.settle(name)
            self.seen.add((sha256,), (name, sha256))
        else:
            self.seen.settle(name, trouble=Trouble("failed", error))
        if stamp:
            self.seen.add(stamp)
        self.lines = line["number"]
        runlog.add(self.totals, line)
        self.seen.answers = self.totals.get("sent", 0)

    def append(self, line: dict[str, Any], times: dict[str, Any], *stamp: object) -> None:
        """Add one image, of the file that `stamp` tells; it is on disk when this returns."""
        line["number"] = self.lines + 1
        with self._named():
            append_line(self.times_path, times)
            append_line(self.log_path, line)
            self._note(line, *stamp)

    def save(self, controller: Controller) -> None:
        """The state after all lines logged so far; the one before is kept beside it."""
        running, arrays = snapshot.pack(controller)
        fields = agents.describe(controller.agent) | {"running": running}
        fields |= {"format": FILE_FORMAT, "settings": self.settings, "lines": self.lines}
        with self._named():
            end = self.log_path.stat().st_size if self.log_path.exists() else 0
            fields |= {"totals": self.totals, "end": end, "mark": self._mark(end)}
            os.fsync(self.seen.file.fileno())
            if not self.notice and self.file.exists():
                os.replace(self.file, self.previous)
                sync_folder(str(self.path))
            save_arrays(self.file, fields, arrays)
        self.notice = ""
