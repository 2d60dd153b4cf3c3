"""Arrays and JSON values in one .npz file: how agents, tables and states are kept. NumPy alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

PARTIAL = ".partial"  # how a file ends that a stop has left behind


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file at `path`, there when the block ends, whole and on disk, or not at all.

    Raises OSError naming `path`.
    """
    # hidden, so that it is passed by; `open`, not `tempfile`, so that the umask counts
    folder = os.path.dirname(os.path.abspath(path))
    partial = os.path.join(folder, f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(folder)
    except BaseException as error:  # KeyboardInterrupt too
        with contextlib.suppress(OSError):
            os.remove(partial)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
        raise


def save_arrays(
    path: str | os.PathLike[str], description: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write arrays and JSON values to one .npz, whole or not at all, with a checksum.

    Raises OSError.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    description = description | {"sha256": _checksum(description, arrays)}
    text = json.dumps(description, sort_keys=True)
    with whole_file(path) as file:
        np.savez(file, description=np.array(text), **arrays)  # type: ignore[arg-type]


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The inverse of `save_arrays`. Raises OSError, or ValueError for a damaged file.

    The checksum is checked where there is one: earlier versions wrote none.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # what is not packed is not larger than the file
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("its arrays are compressed, as we write none")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        description = json.loads(str(arrays.pop("description")))
        checksum = description.pop("sha256", None)
        if checksum not in (None, _checksum(description, arrays)):
            raise ValueError("its checksum does not fit")
        return description, arrays
    except OSError:
        raise
    except Exception as error:  # numpy, zipfile and json raise nearly every kind
        text = ascii(str(error) or type(error).__name__)[1:-1]
        raise ValueError(f"{text:.200}") from error


def _checksum(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def sync_folder(path: str) -> None:
    """After a rename: the folder's own entry on disk, where the system can do so."""
    with contextlib.suppress(OSError):  # Windows opens no folders, CIFS has nothing to sync
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
