"""Work side by side in threads: Pillow and ONNX Runtime leave Python's lock while they work."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

R = TypeVar("R")


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_pool = cache(ThreadPoolExecutor)  # one for each number of threads
if hasattr(os, "register_at_fork"):  # threads do not live on in a child
    os.register_at_fork(after_in_child=_pool.cache_clear)


def at_once(jobs: Sequence[Callable[[], R]], threads: int) -> list[R]:
    """What each job returns, in their order, the caller's thread working too.

    Raises what a job raises; then those not begun never are.
    """
    waiting, results = enumerate(jobs), dict[int, R]()  # all threads take from one iterator

    def work() -> None:
        try:
            for place, job in waiting:
                results[place] = job()
        except BaseException:
            deque(waiting, 0)  # no more are begun
            raise

    helpers: list[Future[None]] = []
    try:
        with contextlib.suppress(RuntimeError):  # no new threads when the interpreter ends
            for _ in range(min(threads, len(jobs)) - 1):
                helpers.append(_pool(threads).submit(work))
        work()
    finally:
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:  # raises what it raised
        helper.result()
    return [results[place] for place in range(len(jobs))]
