"""The photographs of a folder that are not sent yet, in the order in which they are to be."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from ..storage.files import ImageError
from .folder import EXCLUDED, none_in, tell_of, walk
from .seen import LONGEST_REST, WAITING, Seen, Trouble

Stamp = tuple[int, int, int]


def stamp(path: Path | os.DirEntry[str]) -> Stamp | None:
    """What changes when a file does: both times of change in nanoseconds, bytes; None if no file.

    The second time of change tells where the first one was set back.
    """
    for follow in (True, False):  # a link that leads nowhere is a file too
        with contextlib.suppress(OSError):
            found = path.stat(follow_symlinks=follow)
            return found.st_mtime_ns, found.st_ctime_ns, found.st_size
    return None


class Arrivals:
    """Iterates over the names of images in a folder that `seen` does not know, one at a time.

    Once over the folder, in the order of names. Or without end, to `follow` it: looking again
    every so many seconds, for what is there at first by its times of change, then as it comes;
    None says that there is nothing to do now. An image is taken when its stamp has been still for
    `settle` seconds; a name whose stamp changes is a new image.

    One that had no answer waits while others go first; but where others had none either, which
    looks as if the service had been away, it is next when one is answered. What is put aside waits
    for its time. `tell` is told of folders that cannot be read, once each. Raises ImageError where
    that is `folder` itself, or it has no image; if it is followed, it is waited for.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        seen: Seen,
        *,
        follow: bool = False,
        every: float = 5.0,
        settle: float = 2.0,
        exclude: tuple[str, ...] = (),
        tell: Callable[[str], object] = print,
    ) -> None:
        self.folder, self.seen, self.follow = os.fspath(folder), seen, follow
        self.every, self.settle, self.exclude = every, settle if follow else 0.0, EXCLUDED + exclude
        self.tell = tell
        self.done = set[int]()  # hashes of names and stamps of what lies there and is done
        self._new: OrderedDict[str, Stamp] = OrderedDict()  # still, in the order of their coming
        self._moving: dict[str, tuple[Stamp, float]] = {}  # since when
        self._turns: Counter[str | None] = Counter()  # of what had no answer
        self._told: list[str] = []
        self._next_look = 0.0

    def __len__(self) -> int:
        return len(self._new)

    @property
    def left(self) -> int:
        """Images that were not tried yet."""
        return len((self._new.keys() | self._moving.keys()) - self.seen.troubles.keys())

    def look(self) -> None:
        """See what is in the folder now."""
        now, found, done = time.monotonic(), dict[str, Stamp](), set[int]()
        waiting = {name for name, trouble in self.seen.troubles.items() if trouble.kind == WAITING}
        gone = self._new.keys() | waiting
        others, faults, is_first = list[str](), list[str](), not self._next_look
        self._next_look = now + self.every
        try:
            for name, entry in walk(self.folder, faults.append, self.exclude, others):
                if not (file := stamp(entry)):
                    continue
                gone.discard(name)
                if self._new.get(name) == file:
                    continue
                if self._new.pop(name, None):
                    self.seen.settle(name)  # another file now
                key = hash((name, file))
                if key in self.done or self.seen.has(name, *file):
                    done.add(key)  # as most are, of which nothing more is kept
                else:
                    found[name] = file
            if is_first:
                tell_of(others, self.folder, self.tell)
        except ImageError as error:
            if not self.follow:
                raise
            faults.append(f"adacompress: {error}; waiting for it")
            return
        finally:
            for fault in set(faults) - set(self._told):
                self.tell(fault)
            self._told = faults
        if not (found or done or self.follow):
            none_in(self.folder)
        moving, still = {}, []
        for name, file in found.items():
            before, since = self._moving.get(name, (file, now))
            moving[name] = file, since if before == file else now
            if now - moving[name][1] >= self.settle:
                still.append((file[0] if self.follow else 0, name))
        for _, name in sorted(still):
            self._new[name], _ = moving.pop(name)
        self.done, self._moving = done, moving
        if moving:
            self._next_look = now + min(self.every, self.settle)
        for name in gone:
            self._new.pop(name, None)
        self.seen.settle(*gone, trouble=Trouble("gone"))

    def __iter__(self) -> Iterator[str | None]:
        while True:
            if time.monotonic() >= self._next_look and (self.follow or not self._next_look):
                self.look()
            name = self._next()
            if name is None and not self.follow:
                return
            yield name
            if name is None or name not in self._new:
                continue
            file = self._new[name]
            if self.seen.has(name, *file):
                self.done.add(hash((name, file)))
            elif self.seen.troubles.get(name, Trouble("")).kind == WAITING:
                continue
            del self._new[name]  # else gone, or changed while it was read

    def _next(self) -> str | None:
        """Which image is to be sent now."""
        now, troubles = time.time(), self.seen.troubles
        waiting = {n: t for n, t in troubles.items() if t.kind == WAITING and n in self._new}
        due = [n for n, t in waiting.items() if not now < t.due < now + LONGEST_REST]
        away = [n for n in due if waiting[n].tries == 1 and waiting[n].answers < self.seen.answers]
        new = None if away else next((n for n in self._new if n not in waiting), None)
        name = new or min(away[:1] or due, key=self._turns.__getitem__, default=None)
        self._turns[name] += name is not None and name != new
        return name
