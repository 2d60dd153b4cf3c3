"""Objects as JSON values and arrays, and back: what a class names in `KEPT`, and no more.

An attribute in `KEPT` is a number, text or None; an array, of which an object that has a length
keeps so many rows; a list or deque of numbers, or a deque of arrays; a tuple that begins with an
array; a generator; or an object whose class has `KEPT` as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def pack(thing: Any, leave: Collection[str] = ()) -> tuple[dict[str, Any], Arrays]:
    """What is kept of an object, but for the attributes to `leave`."""
    fields: dict[str, Any] = {}
    arrays: Arrays = {}
    for name in thing.KEPT:
        value = getattr(thing, name)
        if name in leave:
            continue
        if hasattr(value, "KEPT"):
            fields[name], inner = pack(value)
            arrays |= {f"{name}.{key}": array for key, array in inner.items()}
        elif isinstance(value, np.ndarray):
            arrays[name] = _rows(thing, value)
        elif isinstance(value, np.random.Generator):
            fields[name] = value.bit_generator.state
        elif isinstance(value, tuple):
            arrays[name], *fields[name] = value
        elif isinstance(value, deque) and value and isinstance(value[0], np.ndarray):
            arrays[name] = np.stack(value)
        else:
            fields[name] = list(value) if isinstance(value, deque) else value
    return fields, arrays


def unpack(
    thing: Any, fields: dict[str, Any], arrays: Arrays, leave: Collection[str] = (), path: str = ""
) -> None:
    """Fill a new object with what `pack` gave. Raises ValueError or KeyError where it cannot be.

    `path` is that of the object in the one that was packed.
    """
    for name in thing.KEPT:
        own, given = getattr(thing, name), arrays.get(path + name)
        if name in leave:
            continue
        if hasattr(own, "KEPT"):
            unpack(own, fields[name], arrays, path=f"{path}{name}.")
        elif isinstance(own, np.ndarray) and own.size:
            _fill(name, _rows(thing, own), arrays[path + name])
        elif isinstance(own, np.random.Generator):
            own.bit_generator.state = fields[name]
        elif isinstance(own, deque):
            own.extend(fields[name] if given is None else given)
        elif given is not None:
            setattr(thing, name, (given, *fields[name]) if name in fields else given)
        elif own is not None and type(fields.get(name)) is not type(own):
            raise ValueError(f"its {name} is {fields.get(name)!r:.40}")
        else:
            setattr(thing, name, fields.get(name))


def _rows(thing: Any, array: np.ndarray) -> np.ndarray:
    return array[: len(thing)] if hasattr(thing, "__len__") else array


def _fill(name: str, own: np.ndarray, given: np.ndarray) -> None:
    if given.shape != own.shape:
        raise ValueError(f"it has {given.size} {name}, this config has {own.size}")
    if given.dtype.kind != own.dtype.kind or not (np.abs(given) < 1e8).all():  # NaN is not
        raise ValueError(f"its {name} are not all numbers that learning leads to")
    own[:] = given
