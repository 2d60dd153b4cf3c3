"""Objects as JSON values and arrays, and back: what a class names in `KEPT`, and no more.

An attribute in `KEPT` is a number, text or None; an array, of which an object that has a length
keeps so many rows; a list or deque of numbers or of arrays; a tuple that begins with an array; a
generator; or an object whose class has `KEPT` as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

import numpy as np

Packed = tuple[dict[str, Any], dict[str, np.ndarray]]


def pack(thing: Any, leave: Collection[str] = ()) -> Packed:
    """What is kept of an object, but for the attributes to `leave`."""
    fields: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name in thing.KEPT:
        value = getattr(thing, name)
        if name in leave:
            continue
        if hasattr(value, "KEPT"):
            fields[name], inner = pack(value)
            arrays |= {f"{name}.{key}": array for key, array in inner.items()}
        elif isinstance(value, np.ndarray):
            arrays[name] = value[: len(thing)] if hasattr(thing, "__len__") else value
        elif isinstance(value, np.random.Generator):
            fields[name] = value.bit_generator.state
        elif isinstance(value, tuple):
            arrays[name], *fields[name] = value
        elif isinstance(value, (list, deque)) and value and isinstance(value[0], np.ndarray):
            arrays[name] = np.stack(value)
        else:
            fields[name] = list(value) if isinstance(value, (list, deque)) else value
    return fields, arrays


def unpack(
    thing: Any,
    fields: dict[str, Any],
    arrays: dict[str, np.ndarray],
    leave: Collection[str] = (),
) -> None:
    """Fill a new object with what `pack` gave. Raises ValueError or KeyError where it cannot be."""
    for name in thing.KEPT:
        own = getattr(thing, name)
        if name in leave:
            continue
        if hasattr(own, "KEPT"):
            start = f"{name}."
            inner = {key[len(start) :]: a for key, a in arrays.items() if key.startswith(start)}
            unpack(own, fields[name], inner)
        elif isinstance(own, np.ndarray):
            own = own[: len(thing)] if hasattr(thing, "__len__") else own
            if own.size:
                _fill(name, own, arrays[name])
            else:
                setattr(thing, name, arrays[name])
        elif isinstance(own, np.random.Generator):
            own.bit_generator.state = fields[name]
        elif isinstance(own, (list, deque)):
            own.extend(arrays[name] if name in arrays else fields[name])
        elif name in arrays:
            setattr(thing, name, (arrays[name], *fields[name]))
        else:
            value = fields.get(name)
            if own is not None and type(value) is not type(own):
                raise ValueError(f"its {name} is {value!r:.40}")
            setattr(thing, name, value)


def _fill(name: str, own: np.ndarray, given: np.ndarray) -> None:
    if given.shape != own.shape:
        raise ValueError(f"it has {given.size} {name}, this config has {own.size}")
    if given.dtype.kind != own.dtype.kind or not (np.abs(given) < 1e8).all():  # NaN is not
        raise ValueError(f"its {name} are not all numbers that learning leads to")
    own[:] = given
