"""What stands before the last pooling of an ONNX classifier, as a model of its own in memory.

An ONNX file is a message of Protocol Buffers: a row of fields, each with a number, a wire type and
a value that may be a message again. Only those looked at here are read; all others are copied as
they are. Numbers are those of `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .files import reason
from .onnx_session import ModelError

GRAPH = 7  # of a model
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13  # of a graph
NODE_INPUT, NODE_OUTPUT, NODE_TYPE = 1, 2, 4
TENSOR_NAME, TENSOR_BYTES, TENSOR_FILE, TENSOR_PLACE = 8, 9, 13, 14
POOLINGS = {b"GlobalAveragePool", b"AveragePool", b"ReduceMean"}
MAP = b"map"  # an output of this name is taken as it is
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # wire types


class Field(NamedTuple):
    """One field of a message."""

    number: int
    value: bytes  # its content, of a number nothing
    whole: bytes  # with its key


def cut(path: Path, channels_last: bool) -> bytes:
    """The model in `path` up to its feature map: an output `map`, or what its last pooling takes.

    Its input, of three channels, may have any size, and tensors kept in files of their own are
    within. Raises ModelError where there is no pooling, or such a file cannot be read.
    """
    try:
        model = list(_fields(path.read_bytes()))
        graph = [field for part in model if part.number == GRAPH for field in _fields(part.value)]
        nodes = [field for field in graph if field.number == NODE]
        tensors = [
            _tensor(field.value, path.parent) for field in graph if field.number == INITIALIZER
        ]
        named = {_first(tensor, TENSOR_NAME) for tensor in tensors}
        inputs = [_first(field.value, 1) for field in graph if field.number == INPUT]
        outputs = [_first(field.value, 1) for field in graph if field.number == OUTPUT]
        image = next(name for name in inputs if name not in named)  # old files name weights too
        found = MAP if MAP in outputs else _pooled(nodes)
        # Nodes stand in the order of their work, so all that the map needs stands before it.
        made = [found in _all(node.value, NODE_OUTPUT) for node in nodes].index(True)
    except ModelError:
        raise
    except (OSError, ValueError, LookupError, StopIteration) as error:
        raise ModelError(f"{path}: no ONNX model with a pooling at its end") from error
    kept = [field.whole for field in nodes[: made + 1]]
    kept += [_message(INITIALIZER, tensor) for tensor in tensors]
    dropped = {NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO}
    kept += [field.whole for field in graph if field.number not in dropped]
    kept += [_message(INPUT, _free_input(image, channels_last))]
    kept += [_message(OUTPUT, _message(1, found))]
    rest = [field.whole for field in model if field.number != GRAPH]
    return b"".join(rest) + _message(GRAPH, b"".join(kept))


def _pooled(nodes: list[Field]) -> bytes:
    """The name of what the last pooling takes."""
    poolings = [node for node in nodes if _first(node.value, NODE_TYPE) in POOLINGS]
    return _first(poolings[-1].value, NODE_INPUT)


def _free_input(name: bytes, channels_last: bool) -> bytes:
    """A ValueInfo: float32 of any number, height and width, and of three channels."""
    free = [_message(1, _message(2, each)) for each in (b"number", b"height", b"width")]
    colours = _message(1, b"\x08\x03")  # dim_value 3
    free.insert(3 if channels_last else 1, colours)
    tensor = b"\x08\x01" + _message(2, b"".join(free))  # elem_type 1, float32
    return _message(1, name) + _message(2, _message(1, tensor))


def _tensor(tensor: bytes, folder: Path) -> bytes:
    """A tensor with its numbers in it, also where they are in a file of `folder`."""
    places = [
        (_first(entry, 1).decode(), _first(entry, 2).decode())
        for entry in _all(tensor, TENSOR_FILE)
    ]
    if not places:
        return tensor
    place = dict(places)
    file = folder / place["location"]
    if folder.resolve() not in file.resolve().parents:
        raise ModelError(f"{file}: outside the folder of the model that names it")
    try:
        with file.open("rb") as stream:
            stream.seek(int(place.get("offset", 0)))
            content = stream.read(int(place.get("length", -1)))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: weights that the model names ({reason(error)})") from error
    left = (TENSOR_FILE, TENSOR_PLACE)
    kept = [field.whole for field in _fields(tensor) if field.number not in left]
    return b"".join(kept) + _message(TENSOR_BYTES, content)


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
    """A number of seven bits a byte, lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _message(number: int, content: bytes) -> bytes:
    """A field of bytes, a text or a message."""
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
