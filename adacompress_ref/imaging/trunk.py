"""What makes the feature map of an ONNX classifier, as a model of its own in memory.

An ONNX file is a message of Protocol Buffers: a row of fields, each with a number, a wire type and
a value that may be a message again. Only those looked at here are read; all others are copied as
they are. Numbers are those of `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..storage.files import printable, reason
from .session import ModelError

GRAPH = 7  # of a model
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13  # of a graph
NODE_INPUT, NODE_OUTPUT, NODE_TYPE = 1, 2, 4
TENSOR_NAME, TENSOR_BYTES, TENSOR_FILE, TENSOR_PLACE = 8, 9, 13, 14
POOLINGS = {b"GlobalAveragePool", b"AveragePool", b"ReduceMean"}
MAP = b"map"  # an output of this name is taken as it is
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # wire types
FLOAT, HALF = b"\x01", b"\x0a"  # elem_type
MOST = 2**28  # bytes of a model with its weights; those of MobileNetV2 are up to 25 MB


class Field(NamedTuple):
    """One field of a message."""

    number: int
    value: bytes  # its content
    whole: bytes  # with its key


def cut(path: Path, channels_last: bool) -> bytes:
    """The model in `path` up to its feature map, with all tensors that it needs within.

    The map is an output `map`, or what the last pooling takes, or without any the first output.
    The input, of three channels, may have any size. Raises ModelError for what is no such model,
    is beyond MOST bytes, or names files that cannot be read.
    """
    content = _read(path, MOST)
    try:
        model = list(_fields(content))
        graph = [field for part in model if part.number == GRAPH for field in _fields(part.value)]
        nodes = [field for field in graph if field.number == NODE]
        outputs = [_first(field.value, 1) for field in graph if field.number == OUTPUT]
        found = MAP if MAP in outputs else _pooled(nodes) or outputs[0]
        needed = _needed(nodes, found)
        kept = [
            node.whole for node in nodes if not needed.isdisjoint(_all(node.value, NODE_OUTPUT))
        ]
        named, room = set(), MOST - len(content)
        for field in graph:
            if field.number == INITIALIZER and (name := _first(field.value, TENSOR_NAME)) in needed:
                named.add(name)
                kept.append(_message(INITIALIZER, _tensor(field.value, path.parent, room)))
                room -= len(kept[-1])
        # old files name weights among the inputs too
        inputs = {_first(field.value, 1): field.value for field in graph if field.number == INPUT}
        taken = [name for name in inputs if name in needed - named]
        if len(taken) != 1:
            names = printable(b", ".join(taken).decode("utf-8", "replace"))
            raise ModelError(f"{path}: takes {len(taken)} inputs ({names:.200}), not just an image")
        kept.append(_message(INPUT, _free_input(taken[0], inputs[taken[0]], channels_last)))
    except ModelError:
        raise
    except (ValueError, LookupError) as error:
        raise ModelError(f"{path}: not a whole ONNX model; fetch or export it again") from error
    dropped = {NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO}
    kept += [field.whole for field in graph if field.number not in dropped]
    kept += [_message(OUTPUT, _message(1, found))]
    rest = [field.whole for field in model if field.number != GRAPH]
    return b"".join(rest) + _message(GRAPH, b"".join(kept))


def _pooled(nodes: list[Field]) -> bytes | None:
    """The name of what the last pooling takes."""
    poolings = [node for node in nodes if _first(node.value, NODE_TYPE) in POOLINGS]
    return _first(poolings[-1].value, NODE_INPUT) if poolings else None


def _needed(nodes: list[Field], found: bytes) -> set[bytes]:
    """The names of all that `found` is made of, itself too. Not all tools write nodes in order.

    An input or output left out has an empty name.
    """
    makers = {name: node for node in nodes for name in _all(node.value, NODE_OUTPUT)}
    needed, left = {found}, [found]
    while left:
        node = makers.get(left.pop())
        more = set(_all(node.value, NODE_INPUT)) - needed - {b""} if node else set()
        needed |= more
        left += more
    return needed


def _free_input(name: bytes, declared: bytes, channels_last: bool) -> bytes:
    """A ValueInfo: floats of any number, height and width, and of three channels."""
    free = [_message(1, _message(2, each)) for each in (b"number", b"height", b"width")]
    colours = _message(1, b"\x08\x03")  # dim_value 3
    free.insert(3 if channels_last else 1, colours)
    half = _first(_first(_first(declared, 2), 1), 1) == HALF
    tensor = b"\x08" + (HALF if half else FLOAT) + _message(2, b"".join(free))
    return _message(1, name) + _message(2, _message(1, tensor))


def _tensor(tensor: bytes, folder: Path, room: int) -> bytes:
    """A tensor with its numbers in it, also where they are in a file of `folder`."""
    places = _all(tensor, TENSOR_FILE)
    if not places:
        return tensor
    place = {_first(entry, 1): _first(entry, 2).decode() for entry in places}
    file = folder / place[b"location"]
    if not file.is_file() or folder.resolve() not in file.resolve().parents:
        raise ModelError(f"{printable(str(file))}: weights of the model, but no file in its folder")
    length = int(place[b"length"]) if b"length" in place else None
    content = _read(file, room, int(place.get(b"offset", 0)), length)
    left = (TENSOR_FILE, TENSOR_PLACE)
    kept = [field.whole for field in _fields(tensor) if field.number not in left]
    return b"".join(kept) + _message(TENSOR_BYTES, content)


def _read(file: Path, room: int, offset: int = 0, length: int | None = None) -> bytes:
    """A part of a file. Raises ModelError where it cannot be read, or there is no room for it."""
    try:
        if length is None:
            length = file.stat().st_size - offset
        if not 0 <= length <= room:
            raise ValueError(f"{length:,} bytes; there is room for {room:,}")
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)
    except (OSError, ValueError) as error:
        raise ModelError(f"{printable(str(file))}: cannot be read ({reason(error)})") from error


def _first(message: bytes, number: int) -> bytes:
    return _all(message, number)[0]


def _all(message: bytes, number: int) -> list[bytes]:
    return [field.value for field in _fields(message) if field.number == number]


def _fields(message: bytes) -> Iterator[Field]:
    start = 0
    while start < len(message):
        key, at = _varint(message, start)
        kind, begin = key & 7, at
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, begin = _varint(message, at)
            at = begin + length
        else:
            at += {EIGHT_BYTES: 8, FOUR_BYTES: 4}[kind]
        if at > len(message):
            raise ValueError("a message ends too early")
        yield Field(key >> 3, message[begin:at], message[start:at])
        start = at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, of at most ten; and the place behind it."""
    value = 0
    for place in range(10):
        byte = message[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a number without end")


def _message(number: int, content: bytes) -> bytes:
    """A field of bytes, a text or a message."""
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
