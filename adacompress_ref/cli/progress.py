"""Progress on standard error: a bar on a terminal, a plain line now and then otherwise."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

_LINE_EVERY = 10.0  # seconds, where it is not a terminal
_BAR_EVERY = 0.1


class Progress:
    """Counts to `total`; `quiet` prints nothing."""

    def __init__(self, what: str, total: int, quiet: bool = False) -> None:
        self.what, self.total, self.quiet = what, total, quiet
        self.done = 0
        self.started = self.printed = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def advance(self, note: str = "") -> None:
        """One more is done."""
        self.done += 1
        now = time.monotonic()
        last = self.done == self.total
        every = _BAR_EVERY if self.terminal else _LINE_EVERY
        if self.quiet or not (last or now - self.printed >= every):
            return
        self.printed = now
        left = timedelta(seconds=round((now - self.started) / self.done * (self.total - self.done)))
        text = f"{self.what} {self.done}/{self.total}, {left} left {note}".rstrip()
        if self.terminal:
            filled = 24 * self.done // self.total
            bar = "#" * filled + "." * (24 - filled)
            print(f"\r\x1b[K[{bar}] {text}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room for a message."""
        if self.terminal and not self.quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
