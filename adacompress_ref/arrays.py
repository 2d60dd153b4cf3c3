"""Arrays and JSON values in one .npz file: how agents, tables and states are kept. NumPy alone."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from typing import Any

import numpy as np


def save_arrays(
    path: str | os.PathLike[str], description: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write arrays and JSON values to one .npz, whole or not at all, with a checksum.

    Raises OSError.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    description = description | {"sha256": _checksum(description, arrays)}
    partial = f"{os.fspath(path)}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            text = json.dumps(description, sort_keys=True)
            np.savez(file, description=np.array(text), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(os.path.dirname(os.path.abspath(path)))
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The inverse of `save_arrays`; raises whatever numpy and json do for a damaged file.

    The checksum is checked where there is one: earlier versions wrote none.
    """
    if os.path.exists(path) and not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz archive")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    description = json.loads(str(arrays.pop("description")))
    checksum = description.pop("sha256", None)
    if checksum not in (None, _checksum(description, arrays)):
        raise ValueError("its checksum does not fit")
    return description, arrays


def _checksum(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def sync_folder(path: str) -> None:
    """After a rename: the folder's own entry on disk, where the system can do so."""
    try:
        folder = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
