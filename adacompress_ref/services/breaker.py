"""The circuit breaker: a service that is away is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

OPENS_AFTER = 8  # failures in a row
FIRST_REST, LONGEST_REST = 1.0, 60.0  # seconds for which an open circuit lets nothing through


class Breaker:
    """Lets nothing through for a while after so many failures in a row, then one try at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.failures, self.rest, self.closed_until = 0, FIRST_REST, 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Seconds until a request may be tried; where it is 0, the caller has that try."""
        with self._lock:
            if self.failures < OPENS_AFTER:
                return 0.0
            left = self.closed_until - self.clock()
            if left <= 0:
                self.closed_until = self.clock() + self.rest  # others wait for this one
            return max(0.0, left)

    def note(self, answered: bool, retry_after: float = 0.0) -> None:
        """What became of a try; a refusal is an answer too."""
        with self._lock:
            if answered:
                self.failures, self.rest = 0, FIRST_REST
                return
            self.failures += 1
            if self.failures >= OPENS_AFTER:
                self.closed_until = self.clock() + max(self.rest, retry_after)
                self.rest = min(2 * self.rest, LONGEST_REST)
