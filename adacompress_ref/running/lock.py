"""A folder that is one process's alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..storage.files import reason

OTHER_FOLDER = "name another --state folder (of train: another -o)"


class StateError(ValueError):
    """A state folder cannot be used."""


def lock(folder: Path) -> int:
    """A descriptor of a folder's lock that no other process has; the system frees it when we end.

    Raises StateError where another has it, or there is none to be had, and OSError.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)  # NFS: one to write
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        fault = f"no lock can be had there ({reason(error)})"
        if isinstance(error, (BlockingIOError, PermissionError)):
            fault = "in use by another run; wait for its end"
        raise StateError(f"{folder}: {fault}, or {OTHER_FOLDER}") from error
    return descriptor
