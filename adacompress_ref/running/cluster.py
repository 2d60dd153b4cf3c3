"""The workers of a Dask scheduler, on other machines: an executor for labelling.py.

Workers get the place of an image and the name of a service, never credentials: they open image and
service themselves, from folders and environments of their own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any

import numpy
import PIL
from distributed import Client, KilledWorker, Security, rpc

from ..imaging.session import onnxruntime
from ..services import ServiceError
from ..storage.artifacts import ArtifactError
from ..storage.files import printable, reason
from .labelling import Job, Labelling

PATIENCE = 10  # seconds for the scheduler to answer


class ClusterError(OSError):
    """A scheduler, or one of its workers, cannot be used; or is gone."""


class Cluster(Executor):
    """The workers of the scheduler at `address`, such as tcp://10.0.0.1:8786, for `work`.

    A task whose worker dies is done again by another, three times; then it raises ServiceError,
    as an image may be why. Raises ClusterError where there is no scheduler, no worker yet, or one
    that cannot do this work as it is done here. One without this package that joins later dies of
    its first task.
    """

    ahead = 500  # tasks at a time: for as many workers as may join

    def __init__(self, address: str, work: Labelling) -> None:
        self.address = printable(address)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # messages are ours
        try:
            kind = asyncio.run(asyncio.wait_for(_kind(address), PATIENCE))
        except Exception as error:  # its transports raise nearly every kind
            told = isinstance(error, (ValueError, TypeError))  # of the address, of TLS
            said = reason(error) if told else "it does not answer"
            raise ClusterError(
                f"{self.address}: no Dask scheduler ({said}); start one with `dask scheduler`"
            ) from error
        if kind != "Scheduler":
            raise ClusterError(f"{self.address}: a Dask {kind}; name the scheduler instead")
        self.client = Client(address, timeout=PATIENCE, set_as_default=False)
        try:
            self._check(work)
        except BaseException:
            self.client.close()
            raise
        # not pure: an image may have changed since another labelled it
        self._executor = self.client.get_executor(pure=False)

    def _check(self, work: Labelling) -> None:
        needs = os.path.abspath(work.folder), work.job
        mine, found = _ready(*needs), self.client.run(_ready, *needs, on_error="return")
        if not found:
            raise ClusterError(
                f"{self.address}: has no worker; start one with `dask worker {self.address}`"
            )
        for worker, theirs in sorted(found.items()):
            if isinstance(theirs, Exception):
                raise ClusterError(f"worker {worker}: {reason(theirs)}") from theirs
            for package, version in mine.items():
                if theirs[package] != version:
                    raise ClusterError(
                        f"worker {worker}: has {package} {theirs[package]}, here it is {version}; "
                        "install the same, as its encodings may differ"
                    )

    def submit(self, function: Callable, /, path: str, *arguments: Any) -> Future:  # type: ignore[override]
        """A future of `function` called there; `path` is what its messages are about."""
        future: Future = Future()
        task = self._executor.submit(function, path, *arguments)
        task.add_done_callback(partial(self._settle, future, path))
        return future

    def _settle(self, future: Future, path: str, task: Future) -> None:
        if not future.set_running_or_notify_cancel():
            return
        fault: Exception
        try:
            future.set_result(task.result())
            return
        except KilledWorker as error:
            died = f"{error.allowed_failures + 1} workers died of it, run again to try more"
            fault = ServiceError(f"{printable(path)}: {died}")
        except CancelledError:
            fault = ClusterError(f"{self.address}: the scheduler is gone; run again to go on")
        except ArtifactError as error:  # of one that joined after the check
            fault = ClusterError(f"{self.address}: a worker cannot label: {error}")
        except Exception as error:
            fault = error
        future.set_exception(fault)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the scheduler, which forgets what is not done; its workers go on for others."""
        self.client.close()


async def _kind(address: str) -> str:
    """What is at an address: Scheduler, Worker or Nanny. `Client` would wait for ever."""
    async with rpc(address, connection_args=Security().get_connection_args("client")) as server:
        return (await server.identity())["type"]


def _ready(folder: str, job: Job) -> dict[str, str]:
    """Versions of what makes a row, where all is there that the job needs."""
    if not os.path.isdir(folder):
        raise ClusterError(f"{printable(folder)}: no such folder there; share it")
    job.open()
    own = sys.modules[__name__.rpartition(".running.")[0]]
    return {module.__name__: module.__version__ for module in (own, numpy, PIL, onnxruntime)}
