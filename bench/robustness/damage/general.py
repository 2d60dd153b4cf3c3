"""How bytes, JSON and archives of arrays are damaged, and what every case has."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adacompress_ref.storage.arrays import _checksum

Random = np.random.Generator
Case = tuple[str, Callable[[], None]]  # how an input was damaged, and what reads it


class Wrong(Exception):
    """A result that is not right."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise Wrong(what)


def pick(rng: Random, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


RAW = {  # what json.dumps cannot write
    **{"@deep": "[" * 100_000 + "]" * 100_000, "@nested": '{"a":' * 900 + "1" + "}" * 900},
    **{"@digits": "9" * 5000, "@huge": "1e999"},
}
VALUES = (
    *(None, True, False, 0, -1, 1, 0.5, 3, 2**31, 2**63, -(2**63), 10**15, 10**400, 1e308, -1e308),
    *(1e-320, float("nan"), float("inf"), -float("inf"), "", "x" * 5000, "one\ntwo", "\0", "1e5"),
    *("\ud800", "\u2028", "\U000e0001" * 999, "NaN", [], {}, [[]], {"": None}, [None] * 999, *RAW),
)
DTYPES = ("O", "c16", "U7", "S3", "?", "i1", "u8", "f2", "f8", ">f4", "M8[s]", "V3")


def flipped(rng: Random, data: bytes) -> bytes:
    """Some bits turned, often near the beginning, where headers are."""
    changed = bytearray(data or b"\0")
    end = min(len(changed), pick(rng, (64, 1024, len(changed))))
    for place in rng.integers(end, size=pick(rng, (1, 2, 8, 32))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(rng: Random, data: bytes) -> bytes:
    """The end missing, or a part in the middle."""
    start, stop = sorted(map(int, rng.integers(len(data) + 1, size=2)))
    return data[:start] + pick(rng, (b"", data[stop:]))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and key or index there."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], (list, dict)):
            yield from places(value[key])


def mutated(rng: Random, document: Any) -> tuple[str, Any]:
    """A JSON value with some of it replaced, taken away, copied elsewhere or wrapped."""
    root, told = {"all": document}, []
    for _ in range(int(rng.integers(1, 4))):
        root = json.loads(json.dumps(root))
        found = list(places(root))
        (holder, key), (other, where) = pick(rng, found), pick(rng, found)
        move = pick(rng, ("becomes", "becomes", "becomes", "copied", "wrapped", "gone"))
        if move == "gone" and holder is not root:
            del holder[key]
        elif move == "copied":
            holder[key] = json.loads(json.dumps(other[where]))
        elif move == "wrapped":
            holder[key] = [holder[key]] * int(rng.integers(1, 4))
        else:
            holder[key] = pick(rng, VALUES)
            move = f"becomes {holder[key]!r:.20}"
        told.append(f"{key} {move}")
    return ", ".join(told), root["all"]


def dumped(document: Any) -> bytes:
    """JSON on one line."""
    text = json.dumps(document)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text.encode()


def damaged(rng: Random, name: str, data: bytes) -> tuple[str, bytes]:
    """How an archive of arrays, or lines of JSON, were damaged, and the result."""
    if rng.random() < 0.3 or name == "seen":  # which has no lines
        damage = pick(rng, (flipped, cut))
        return f"{name} {damage.__name__}", damage(rng, data)
    if name.endswith(".npz"):
        how, data = rearranged(rng, data, fitting=not name.startswith("state"))
        return f"{name} {how}", data
    lines = data.splitlines()
    place = int(rng.integers(len(lines)))
    how, document = mutated(rng, json.loads(lines[place]))
    lines[place] = dumped(document)
    return f"{name} line {place}: {how}", b"\n".join(lines) + b"\n"


def rearranged(rng: Random, data: bytes, fitting: bool = True) -> tuple[str, bytes]:
    """Another archive, of which one entry is not what it was.

    Half have a checksum that fits and half have none; where it is not to fit, that from before.
    """
    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    description: Any = json.loads(str(arrays.pop("description")))
    before = description.pop("sha256")
    member = pick(rng, sorted(arrays))
    damage = pick(rng, ("description", "array", "header", "gone") * 4 + ("bomb",))
    how = f"{damage} {member}"
    if damage == "description":
        how, description = mutated(rng, description)
    if damage == "array":
        old = arrays[member].shape
        shape = pick(rng, (old, old, old[::-1], (), (0,), (*old, 2)))
        dtype, value = pick(rng, (arrays[member].dtype, *DTYPES)), pick(rng, (0, -1, 1e30, np.nan))
        arrays[member] = np.full(shape, value).astype(dtype)
        how = f"{member} is {dtype} {shape} of {value}"
    text = dumped(description)
    if isinstance(description, dict) and (rng.random() < 0.5 or not fitting):
        checksum = _checksum(description, arrays) if fitting else before
        text = dumped(description | {"sha256": checksum})
    arrays["description"] = np.array(text.decode())
    if damage == "gone":
        del arrays[member]
    file = io.BytesIO(bomb() if damage == "bomb" else b"")
    with zipfile.ZipFile(file, "a") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            if damage == "header" and name == member:
                write_header(stream, array.dtype, 2 ** int(rng.integers(20, 63)))
                stream.write(array.tobytes())
            else:
                np.lib.format.write_array(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())
    return how, file.getvalue()


def write_header(file: Any, dtype: np.dtype, length: int) -> None:
    """The header of an array of one dimension."""
    fields = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, fields)


@functools.cache
def bomb() -> bytes:
    """An archive of few bytes with more than a gigabyte of zeros."""
    file, parts = io.BytesIO(), 72
    archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("more.npy", "w", force_zip64=True) as member:
        write_header(member, np.dtype("u1"), parts * 2**24)
        for _ in range(parts):
            member.write(bytes(2**24))
    return file.getvalue()
