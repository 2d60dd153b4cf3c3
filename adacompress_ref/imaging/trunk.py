"""What makes the feature map of an ONNX classifier, as a model of its own in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..storage.files import printable, reason
from .session import ModelError, open_session

MAP = "map"  # an output of this name is taken as it is
POOLINGS = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
MOST = 2**28  # bytes of a model with its weights; those of MobileNetV2 are up to 25 MB


def cut(path: Path, channels_last: bool) -> bytes:
    """The model in `path` up to its feature map, with all tensors in it and an input of any size.

    The map is an output `map`, or what the last pooling takes, or without any the first output. A
    file that is so already stays as it is; any other needs the extra `onnx`. Raises ModelError for
    what is no such model, is beyond MOST bytes, or names files that cannot be read.
    """
    content = _read(path, MOST)
    if _is_cut(content):
        return content
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            f"{path}: to be cut at its feature map it needs the extra onnx: pip install onnx"
        ) from error
    try:
        model = onnx.load_model_from_string(content)
        graph = model.graph
        name = _map_name(graph)
        _leave_out_all_but(graph, name)
        room = MOST - len(content)
        for tensor in graph.initializer:
            if tensor.data_location == tensor.EXTERNAL:
                tensor.raw_data = _external(tensor, path.parent, room)
                tensor.ClearField("data_location")
                tensor.ClearField("external_data")
                room -= len(tensor.raw_data)
        images = [image.name for image in graph.input]
        if len(images) != 1:
            inputs = f"{len(images)} inputs ({printable(', '.join(images)):.200})"
            raise ModelError(f"{path}: takes {inputs}, not just an image")
        shape: list[Any] = ["number", "height", "width"]
        shape.insert(3 if channels_last else 1, 3)
        kind = graph.input[0].type.tensor_type.elem_type
        graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info(images[0], kind, shape))
        graph.ClearField("value_info")  # of the sizes that were declared
        graph.ClearField("output")
        graph.output.add(name=name)
        return model.SerializeToString(deterministic=True)
    except ModelError:
        raise
    except Exception as error:  # protobuf's share no base class with Python's
        raise ModelError(f"{path}: not a whole ONNX model; fetch or export it again") from error


def _is_cut(content: bytes) -> bool:
    """Whether one input of any size makes an output `map`, with no weights in other files."""
    if MAP.encode() not in content or b"location" in content:  # the key to the name of such a file
        return False
    try:
        session = open_session("the model", 1, content)
    except ModelError:
        return False
    images, outputs = session.get_inputs(), session.get_outputs()
    fixed = [size for image in images for size in image.shape if isinstance(size, int)]
    return len(images) == 1 and fixed in ([], [3]) and MAP in [output.name for output in outputs]


def _map_name(graph: Any) -> str:
    outputs = [output.name for output in graph.output]
    pooled = [node.input[0] for node in graph.node if node.op_type in POOLINGS]
    return MAP if MAP in outputs else [outputs[0], *pooled][-1]


def _leave_out_all_but(graph: Any, name: str) -> None:
    """Keep the nodes, tensors and inputs that `name` is made of. Not all tools sort the nodes."""
    makers = {output: node for node in graph.node for output in node.output}
    needed, waiting = set(), [name]
    while waiting:
        value = waiting.pop()
        if value and value not in needed:  # an input left out has an empty name
            needed.add(value)
            waiting += makers[value].input if value in makers else []
    inputs = needed - {tensor.name for tensor in graph.initializer}  # old files name weights twice
    for field, kept in (
        (graph.node, [node for node in graph.node if not needed.isdisjoint(node.output)]),
        (graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed]),
        (graph.input, [image for image in graph.input if image.name in inputs]),
    ):
        del field[:]
        field.extend(kept)


def _external(tensor: Any, folder: Path, room: int) -> bytes:
    """The numbers of a tensor that are in a file of `folder`."""
    place = {entry.key: entry.value for entry in tensor.external_data}
    file = folder / place["location"]
    if not file.is_file() or folder.resolve() not in file.resolve().parents:
        raise ModelError(f"{printable(str(file))}: weights of the model, but no file in its folder")
    length = int(place["length"]) if "length" in place else None
    return _read(file, room, int(place.get("offset", 0)), length)


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
