"""Damaged inputs to whatever reads one: a typed error, or a right result, and nothing else.

`python -m bench.fuzz [--json]` damages 20,000 images, files and answers of services, and reads them
in worker processes. Right is an error of that interface in one line of at most 1,000 characters, or
a result that can be used. Another exception, more than 5 s, more than 1 GB in memory or the end of
the process are failures; `--only KIND:NUMBER` repeats one.

Each case has a generator of its own, of seed, kind and number. Half of the archives of arrays that
are put together anew have a checksum that fits, so that what stands behind it is tried as well.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import multiprocessing
import os
import queue
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from adacompress_ref import files, images, runlog
from adacompress_ref.agent import AgentError, DQNAgent
from adacompress_ref.arrays import _checksum
from adacompress_ref.config import PRESETS, REFERENCE, TEN_LEVELS
from adacompress_ref.controller import Controller, Label, Upload
from adacompress_ref.progress import Progress
from adacompress_ref.services import ask, formats
from adacompress_ref.services.errors import ServiceError
from adacompress_ref.services.onnx import ModelError, Sidecar
from adacompress_ref.services.recorded import Recorded
from adacompress_ref.state import StateError, StateFolder
from adacompress_ref.table import Row, Source, Table, TableError

PHOTOS = Path(__file__).resolve().parents[1] / "tests" / "photos"
TIME_LIMIT = 5.0  # seconds
MAKING_LIMIT = 60.0  # seconds for a process to start and to make its input
MEMORY_LIMIT = 1000.0  # megabytes
ADDRESS_LIMIT = 6 * 2**30  # bytes, so that no case takes all of the machine's memory
MESSAGE_LIMIT = 1000  # characters
SHOWN = 50  # failures in the report

Random = np.random.Generator
Case = tuple[str, Callable[[], None]]  # how an input was damaged, and what reads it


class Wrong(Exception):
    """A result that is not right."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise Wrong(what)


def pick(rng: Random, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


# Damage to bytes, JSON and archives ---------------------------------------------------------------

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
    if rng.random() < 0.3:
        damage = pick(rng, (flipped, cut))
        return f"{name} {damage.__name__}", damage(rng, data)
    if name.endswith(".npz"):
        how, data = rearranged(rng, data)
        return f"{name} {how}", data
    lines = data.splitlines()
    place = int(rng.integers(len(lines)))
    how, document = mutated(rng, json.loads(lines[place]))
    lines[place] = dumped(document)
    return f"{name} line {place}: {how}", b"\n".join(lines) + b"\n"


def rearranged(rng: Random, data: bytes) -> tuple[str, bytes]:
    """Another archive, of which one entry is not what it was."""
    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    description: Any = json.loads(str(arrays.pop("description")))
    del description["sha256"]
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
    if isinstance(description, dict) and rng.random() < 0.5:
        text = dumped(description | {"sha256": _checksum(description, arrays)})
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


# Images -------------------------------------------------------------------------------------------

MODES = {
    "jpeg": ("RGB", "L", "CMYK"),
    "png": ("RGB", "RGBA", "P", "L", "LA", "I;16", "1", "interlaced"),
    "webp": ("RGB", "RGBA"),
    "gif": ("P", "L", "RGBA"),
    "bmp": ("RGB", "RGBA", "P", "L", "1"),
    "tiff": ("RGB", "RGBA", "P", "L", "I;16", "I", "CMYK", "1"),
}
OPTIONS: dict[str, dict[str, tuple]] = {
    "jpeg": {"progressive": (False, True)},
    "png": {"compress_level": (1,)},
    "webp": {"lossless": (False, True), "method": (0,)},
    "tiff": {"compression": (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")},
}
PARTS = {  # where a file comes apart
    "jpeg": rb"(?=\xff[\xc0-\xfe])",
    "png": rb"(?s)(?=.{4}(?:IHDR|PLTE|tRNS|iCCP|eXIf|acTL|fcTL|fdAT|IDAT|IEND))",
    "webp": rb"(?=VP8[ LX]|ALPH|ANIM|ANMF|EXIF|ICCP)",
    "gif": rb"(?=\x21[\xf9\xfe\xff]|\x2c\0\0\0\0)",
    "bmp": b"(?s)" + b"|".join(rb"(?<=\A.{%d})" % place for place in range(2, 66, 4)),
    "tiff": rb"(?=[\x00-\x53]\x01[\x01-\x0d]\0)",
}
SIZES: dict[str, dict[bytes, Callable[[int, int], bytes]]] = {  # what is before them, and they
    "jpeg": {rb"(\xff[\xc0-\xc2]..\x08)....": lambda w, h: struct.pack(">HH", h, w)},
    "png": {rb"(IHDR).{8}": lambda w, h: struct.pack(">II", w, h)},
    "webp": {
        rb"(VP8 .{7}\x9d\x01\x2a)....": lambda w, h: struct.pack("<HH", w & 0x3FFF, h & 0x3FFF),
        rb"(VP8L....\x2f)....": lambda w, h: struct.pack("<I", w & 0x3FFF | (h & 0x3FFF) << 14),
        rb"(VP8X.{8}).{6}": lambda w, h: struct.pack("<I", w)[:3] + struct.pack("<I", h)[:3],
    },
    "gif": {rb"(GIF8..|\x2c\0\0\0\0)....": lambda w, h: struct.pack("<HH", w, h)},
    "bmp": {rb"(\ABM.{16}).{8}": lambda w, h: struct.pack("<II", w, h)},
    "tiff": {
        rb"(\x00\x01)[\x03\x04].{9}": lambda w, h: struct.pack("<HII", 4, 1, w),
        rb"(\x01\x01)[\x03\x04].{9}": lambda w, h: struct.pack("<HII", 4, 1, h),
    },
}
ADAM7 = "0088", "0488", "4084", "0244", "2042", "0122", "1021"  # of each pass: y, x and steps


def interlaced(image: Image.Image) -> bytes:
    """RGB as interlaced PNG, which Pillow reads and does not write."""
    pixels, rows = np.asarray(image), b""
    for y, x, down, across in (map(int, each) for each in ADAM7):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[y::down, x::across] if row.size)
    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    chunks = b"IHDR" + header, b"IDAT" + zlib.compress(rows), b"IEND"
    lengths = ((struct.pack(">I", len(each) - 4), each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        length + chunk + struct.pack(">I", zlib.crc32(chunk)) for length, chunk in lengths
    )


def encoded(rng: Random, kind: str, photo: Image.Image) -> tuple[str, bytes]:
    """A photograph in one variant of a format, often with metadata or several frames."""
    mode = pick(rng, MODES[kind])
    if mode == "interlaced":
        return mode, interlaced(photo)
    options = {name: pick(rng, values) for name, values in OPTIONS.get(kind, {}).items()}
    mode = "RGB" if options.get("compression") == "jpeg" else mode
    image = photo.convert("L").convert("I").convert(mode) if mode == "I;16" else photo.convert(mode)
    if kind not in ("bmp", "gif") and rng.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = int(rng.integers(1, 9)), "maker"
        profile = ImageCms.createProfile(pick(rng, ("sRGB", "LAB", "XYZ")))
        options["exif"] = exif.tobytes()
        options["icc_profile"] = ImageCms.ImageCmsProfile(profile).tobytes()
    if kind not in ("bmp", "jpeg") and rng.random() < 0.25:
        options["save_all"] = True
        options["append_images"] = [image.transpose(Image.Transpose.ROTATE_180)]
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"{mode} {options!r:.60}", stream.getvalue()


def swapped(rng: Random, kind: str, data: bytes, other: bytes) -> bytes:
    """Segments or chunks in other places, missing, or those of another file."""
    parts, others = (re.split(PARTS[kind], each) for each in (data, other))
    for _ in range(int(rng.integers(1, 4))):
        one, two = (int(place) for place in rng.integers(len(parts), size=2))
        move = pick(rng, ("exchanged", "gone", "added", "replaced"))
        if move == "exchanged":
            parts[one], parts[two] = parts[two], parts[one]
        elif move == "gone":
            parts[one] = b""
        else:
            parts[one] = parts[one] * (move == "added") + pick(rng, others)
    return b"".join(parts)


def resized(rng: Random, kind: str, data: bytes, limit: int) -> bytes:
    """Another width and height declared, together often near the limit of pixels."""
    pixels, aspect = limit * 2.0 ** rng.uniform(-4, 3), 2.0 ** rng.uniform(-6, 6)
    width, height = int((pixels * aspect) ** 0.5), int((pixels / aspect) ** 0.5)
    width, height = pick(rng, [(width, height)] * 4 + [(0, height), (width, 2**31 - 1)])
    most = 0xFFFF if kind in ("jpeg", "gif") else 2**31 - 1
    for pattern, pack in SIZES[kind].items():
        size = pack(min(width, most), min(height, most))
        data = re.sub(b"(?s)" + pattern, lambda match: match[1] + size, data)  # noqa: B023
    return data


def mended(kind: str, data: bytes) -> bytes:
    """The checksums of chunks of a PNG, or the length of a WebP, as they should be."""
    if kind == "webp":
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    place = 8
    while kind == "png" and place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        data = data[:end] + struct.pack(">I", zlib.crc32(data[place + 4 : end])) + data[end + 4 :]
        place = end + 4
    return data


def image_case(kind: str, rng: Random, folder: Path, photo: Image.Image) -> Case:
    """An image that is damaged, read, encoded and decoded."""
    limit = pick(rng, (*[images.PIXEL_LIMIT] * 4, photo.width * photo.height, 10_000))
    damage = pick(rng, ("flipped", "cut", "spliced", "swapped", "swapped", "resized"))
    if rng.random() < 0.005:  # whole, but of few bytes and many pixels
        damage, limit = "blank", images.PIXEL_LIMIT
        photo = Image.new("RGB", [int((limit * rng.uniform(0.1, 1.1)) ** 0.5)] * 2)
    variant, data = encoded(rng, kind, photo)
    if damage == "swapped":
        data = swapped(rng, kind, data, encoded(rng, kind, photo.rotate(180))[1])
    elif damage == "resized":
        data = resized(rng, kind, data, limit)
    elif damage == "spliced":
        head = encoded(rng, pick(rng, list(MODES)), photo)[1][: int(rng.integers(2, 300))]
        data = head + data[int(rng.integers(len(head) + 1)) :]
    elif damage != "blank":
        data = (flipped if damage == "flipped" else cut)(rng, data)
    if rng.random() < 0.7:
        data = mended(kind, data)

    def use() -> None:
        found = images.read(data, pixel_limit=limit)
        height, width, channels = found.pixels.shape
        expect(channels == 3 and found.pixels.dtype == np.uint8, "not [h, w, 3] uint8")
        expect(0 < height * width <= limit, f"{width} x {height} is beyond the limit")
        payload = images.encode(found.pixels, REFERENCE, found.exif)
        expect(images.decode(payload).shape == found.pixels.shape, "encoded to another size")

    return f"{variant} {damage}, limit {limit:,}", use


# Files --------------------------------------------------------------------------------------------


class Fixed:
    """An image whose state is zero, and whose label survives all levels but the first."""

    def __init__(self, agent: DQNAgent) -> None:
        actions = [len(agent.config.encodings)] * (agent.config.state == "drift")
        self.state = np.zeros((*actions, agent.state_size), np.float32)

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        found = Upload(20, [Label("cat" if action else "dog", 0.5)])
        return found, Upload(100, [Label("cat", 0.5)]) if reference else None


def small_agent(preset: str) -> DQNAgent:
    config = PRESETS[preset].replace(
        encodings=TEN_LEVELS[:3], hidden=(6,), replay_capacity=12, learning_starts=4, window=3
    )
    return DQNAgent.create(config, 4, np.random.default_rng(0), {"service": "fake"})


LINE = dict.fromkeys(runlog.FIELDS) | {
    **{"image": "a.jpg", "state": "estimate", "encoding": "jpeg-q15", "answered_by": "reference"},
    **{"bytes": 20, "bytes_sent": 120, "reference_bytes": 100, "original_bytes": 500},
    **{"labels": [["cat", 0.5]], "compressed_labels": [["dog", 0.5]], "agreement": 0},
}


def open_state(folder: Path) -> StateFolder:
    return StateFolder(folder, {"seed": 0}, runlog.check)


def write_state(folder: Path, preset: str) -> None:
    state, running = open_state(folder), Controller(small_agent(preset), trained=False)
    for number in range(8):
        running.step(Fixed(running.agent))
        state.append(LINE, {"encode": 0.1, "total": 0.5})
        if number in (4, 7):
            state.save(running)
    state.close()


def read_state(folder: Path) -> None:
    state = open_state(folder)
    try:
        runlog.summary(state.lines, state.times)
        if state.controller is not None:
            state.controller.step(Fixed(state.controller.agent))
    finally:
        state.close()


def write_agent(folder: Path, preset: str) -> None:
    small_agent(preset).save(folder / "agent.npz")


def read_agent(folder: Path) -> None:
    agent = DQNAgent.load(folder / "agent.npz")
    values = agent.q_values(Fixed(agent).state)
    expect(values.shape == (len(agent.config.encodings),), f"Q-values {values.shape}")
    expect(np.isfinite(values).all(), "Q-values that are not finite")


def write_table(folder: Path, preset: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(
            *(f"{number}.jpg", f"digest {number}", 1000, rng.integers(50, 200, 3)),
            *(np.full((3, 5), "cat"), rng.random((3, 5), np.float32)),
            *(rng.random(shape, np.float32) for shape in ((2, 2, 1280), 19, (2, 4))),
        )
        for number in range(2)
    ]
    Table.from_rows(Source("fake", TEN_LEVELS[:2], "E"), rows).save(folder / "table.npz")


def read_table(folder: Path) -> None:
    table = Table.load(folder / "table.npz")
    for preset in ("tuned", "paper"):
        states = table.states(PRESETS[preset].replace(encodings=table.source.encodings))
        expect(states.dtype.kind == "f" and not np.isnan(states).any(), "states that are none")
    for place in range(len(table.images)):
        expect((table.size_ratios()[place] > 0).all(), "ratios that are none")
        check_labels(table.answers(place, -1))


def write_sidecar(folder: Path, preset: str) -> None:
    (folder / "model.json").write_text(
        '{"input_size": 224, "crop": 0.875, "mean": [0.5, 0.4, 0.3], "std": 0.25, "scale": 0.004, '
        '"channels": "RGB", "layout": "NCHW", "output": "logits", "labels": ["cat", "dog"]}'
    )


def read_sidecar(folder: Path) -> None:
    found = Sidecar.read(folder / "model.json")
    numbers = [found.input_size, found.crop or 1, found.scale, *found.mean, *found.std]
    expect(np.isfinite(numbers).all() and 0 not in found.std, f"{numbers}")
    expect(all(isinstance(label, str) for label in found.labels), "labels that are no text")


@functools.cache
def payload() -> bytes:
    return images.encode(np.zeros((16, 16, 3), np.uint8), REFERENCE)


def write_recording(folder: Path, preset: str) -> None:
    answer = {"labels": [["cat", 0.9], ["dog", 0.5]]}
    lines = (
        {"formats": ["jpeg", "png"], "max_bytes": 10**6, "max_pixels": 10**6, "min_side": 8},
        {"sha256": "0" * 64, "labels": []},
        {"sha256": hashlib.sha256(payload()).hexdigest()}
        | (answer if preset == "tuned" else {"refused": "too small"}),
    )
    (folder / "recording.jsonl").write_bytes(b"".join(dumped(line) + b"\n" for line in lines))


def read_recording(folder: Path) -> None:
    service = Recorded(folder / "recording.jsonl")
    expect("jpeg" in formats(service), "no JPEG")
    check_labels(ask(service, payload()))


FILES: dict[str, tuple[Callable[[Path, str], None], Callable[[Path], None], type[Exception]]] = {
    "state": (write_state, read_state, StateError),
    "table": (write_table, read_table, TableError),
    "agent": (write_agent, read_agent, AgentError),
    "sidecar": (write_sidecar, read_sidecar, ModelError),
    "recording": (write_recording, read_recording, ServiceError),
}


@functools.cache
def written(kind: str, preset: str) -> dict[str, bytes]:
    """The files of a kind as they should be."""
    with tempfile.TemporaryDirectory() as folder:
        FILES[kind][0](Path(folder), preset)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def file_case(kind: str, rng: Random, folder: Path, photo: Image.Image) -> Case:
    """Files of which one or two are damaged, read and used."""
    content, told = dict(written(kind, pick(rng, ("tuned", "paper")))), []
    for name in sorted({pick(rng, list(content)) for _ in range(2)}):
        how, content[name] = damaged(rng, name, content[name])
        told.append(how)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    if rng.random() < 0.05:
        (folder / name).unlink()
        told.append(f"{name} missing")
    return "; ".join(told), functools.partial(FILES[kind][1], folder)


# Answers of services ------------------------------------------------------------------------------

ANSWERS = {  # one a line
    "rekognition": """{"Labels": [{"Name": "Cat", "Confidence": 99.1}], "LabelModelVersion": "3.0"}
{"Labels": [{"Name": "A", "Confidence": 80, "Parents": []}, {"Name": "B", "Confidence": 70.5}]}
{"__type": "com.amazon#ThrottlingException", "message": "Rate exceeded"}
{"__type": "InvalidImageFormatException", "Message": "Request has invalid image format"}""",
    "baidu": """{"log_id": 1, "result_num": 1, "result": [{"keyword": "a", "score": 0.9}]}
{"result": [{"keyword": "a", "score": "0.5"}, {"keyword": "b", "root": "c", "score": 0.25}]}
{"error_code": 17, "error_msg": "Open api daily request limit reached", "log_id": 1}
{"error_code": 110, "error_msg": "Access token invalid or no longer valid"}""",
    "facepp": """{"objects": [{"value": "Cat", "confidence": 90.5}], "scenes": [], "time_used": 9}
{"objects": [{"value": "A", "confidence": 9}], "scenes": [{"value": "B", "confidence": 35.1}]}
{"error_message": "CONCURRENCY_LIMIT_EXCEEDED", "request_id": "1"}
{"error_message": "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file"}""",
    "google": """{"responses": [{"labelAnnotations": [{"description": "Cat", "score": 0.97}]}]}
{"responses": [{"labelAnnotations": [{"description": "A", "score": 0.9, "mid": "m"}]}, {}]}
{"responses": [{"error": {"code": 3, "message": "Bad image data."}}]}
{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}""",
}
STATUSES = (*(0, 100, 204, 206, 301, 304), *range(400, 430), 500, 503, 529, 599, 999)
HEADERS = ("", "5", "-1", "1e999", "9" * 400, "٣", "NaN", "Wed, 21 Oct 2015 07:28:00 GMT")


def answer_case(kind: str, rng: Random, folder: Path, photo: Image.Image) -> Case:
    """An answer of a service, damaged and parsed."""
    how, body = damaged(rng, "answer", pick(rng, ANSWERS[kind].splitlines()).encode())
    status = pick(rng, (200, pick(rng, STATUSES)))
    names = ("retry-after", "x-amzn-errortype", "content-type")
    headers = {name: pick(rng, HEADERS) for name in names if rng.random() < 0.3}
    parse = import_module(f"adacompress_ref.services.{kind}").parse_response
    how += f", status {status}, {headers!r:.100}"
    return how, lambda: check_labels(parse(status, headers, body), best_first=True)


def check_labels(labels: Any, best_first: bool = False) -> None:
    expect(isinstance(labels, list), f"{labels!r:.60} is no list of labels")
    for label in labels:
        right = isinstance(label, Label) and isinstance(label.name, str) and 0 <= label.score <= 1
        expect(right, f"{label!r:.60}")
    scores = [label.score for label in labels]
    expect(not best_first or scores == sorted(scores, reverse=True), "the best is not first")


# Running ------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """How a case is made, and the error that it may end with."""

    make: Callable[[Random, Path, Image.Image], Case]
    error: type[Exception]


KINDS = {
    **{kind: Kind(functools.partial(image_case, kind), files.ImageError) for kind in MODES},
    **{kind: Kind(functools.partial(file_case, kind), FILES[kind][2]) for kind in FILES},
    **{kind: Kind(functools.partial(answer_case, kind), ServiceError) for kind in ANSWERS},
}


class Task(NamedTuple):
    """One case to make and to judge."""

    name: str
    number: int
    kind: Kind
    seed: int = 0
    data: Path | None = None


class Result(NamedTuple):
    """What became of it; `outcome` is typed_errors, correct or failed."""

    kind: str
    number: int
    damage: str
    outcome: str
    what: str
    seconds: float
    megabytes: float


@functools.lru_cache(64)
def opened(path: Path) -> Image.Image:
    image = Image.open(path)
    image.thumbnail((1200, 1200))
    return image.convert("RGB")


@functools.cache
def names_in(folder: Path) -> list[str]:
    return files.find(folder)


def photograph(rng: Random, data: Path | None) -> Image.Image:
    """A part of a photograph, of 40 to 400 pixels a side; one in twenty may be larger."""
    folder = data if data and rng.random() < 0.5 else PHOTOS
    image, most = opened(folder / pick(rng, names_in(folder))), pick(rng, [400] * 19 + [1200])
    width, height = (int(rng.integers(min(40, side), min(most, side) + 1)) for side in image.size)
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def peak(anew: bool = False) -> float:
    """The most megabytes of memory that this process has had, since it was asked for `anew`."""
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except OSError:  # then it is that of its whole life
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def judged(use: Callable[[], None], allowed: type[Exception]) -> tuple[str, str]:
    """The outcome, and what a failure was."""
    try:
        use()
    except allowed as error:
        message = str(error)
        if message.splitlines() == [message] and len(message) <= MESSAGE_LIMIT:
            return "typed_errors", ""
        return "failed", f"a message of {len(message)} characters: {message!r:.300}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return "failed", f"{type(error).__name__} at {where}: {error!s:.300}"
    return "correct", ""


def run_case(task: Task, told: Callable[[str], object] = str) -> Result:
    """Damage one input, hand the damage to `told`, and read the input, in this process."""
    rng = np.random.default_rng([task.seed, zlib.crc32(task.name.encode()), task.number])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        damage, use = task.kind.make(rng, Path(folder), photograph(rng, task.data))
        told(damage)
        peak(anew=True)
        start = time.perf_counter()
        outcome, what = judged(use, task.kind.error)
        seconds = time.perf_counter() - start
        return Result(task.name, task.number, damage, outcome, what, seconds, peak())


def serve(pipe: Any) -> None:
    """A worker process: one task after the other, until it is stopped."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_LIMIT, ADDRESS_LIMIT))
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where libtiff says what it thinks of files
    while True:
        pipe.send(run_case(pipe.recv(), pipe.send))


class Worker:
    """A process that is replaced where a case ends it, does not end, or takes too much memory."""

    process: Any = None

    def run(self, task: Task, time_limit: float) -> Result:
        """What becomes of a task, whatever it does to its process."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, other = context.Pipe()
            self.process = context.Process(target=serve, args=(other,), daemon=True)
            self.process.start()
            other.close()
        result = Result(task.name, task.number, "while it was made", "failed", "", 0.0, 0.0)
        try:
            self.pipe.send(task)
            for limit in (MAKING_LIMIT, time_limit):
                if not self.pipe.poll(limit):
                    self.stop()
                    return result._replace(what=f"no end within {limit:g} s", seconds=limit)
                said = self.pipe.recv()
                result = said if isinstance(said, Result) else result._replace(damage=said)
        except (EOFError, ConnectionError):
            status = self.stop()
            return result._replace(what=f"the process ended with status {status}")
        if result.megabytes > MEMORY_LIMIT:
            self.stop()
            what = f"{result.megabytes:.0f} MB in memory; else {result.outcome} {result.what}"
            return result._replace(outcome="failed", what=what)
        return result

    def stop(self) -> int | None:
        """End the process, if there is one; its exit status."""
        if self.process is None:
            return None
        self.process.join(1 if self.process.exitcode is None else 0)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        status, self.process = self.process.exitcode, None
        return status


def run(tasks: list[Task], workers: int, time_limit: float = TIME_LIMIT) -> Iterator[Result]:
    """The result of each task, in their order."""
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for _ in range(workers):
        idle.put(Worker())

    def one(task: Task) -> Result:
        worker = idle.get()
        try:
            return worker.run(task, time_limit)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(workers) as threads:
        yield from threads.map(one, tasks)
    while not idle.empty():
        idle.get().stop()


def report(results: list[Result]) -> dict[str, Any]:
    """Counts of all and by kind, the slowest, the largest and the first failures."""

    def counts(some: list[Result]) -> dict[str, int]:
        outcomes = Counter(result.outcome for result in some) + Counter(inputs=len(some))
        return {name: outcomes[name] for name in ("inputs", "typed_errors", "correct")}

    failed = [result._asdict() for result in results if result.outcome == "failed"]
    by_kind: dict[str, list[Result]] = {}
    for result in results:
        by_kind.setdefault(result.kind, []).append(result)
    return counts(results) | {
        "failures": len(failed),
        "slowest_seconds": round(max(result.seconds for result in results), 3),
        "peak_megabytes": round(max(result.megabytes for result in results)),
        "by_kind": {kind: counts(some) for kind, some in by_kind.items()},
        "failed": failed[:SHOWN],
    }


def as_text(found: dict[str, Any]) -> str:
    """The report as a table."""
    lines = [f"{'kind':12} {'inputs':>8} {'typed errors':>13} {'correct':>8}"]
    for kind, counts in (found["by_kind"] | {"all": found}).items():
        inputs, errors, correct = (counts[name] for name in ("inputs", "typed_errors", "correct"))
        lines.append(f"{kind:12} {inputs:8,} {errors:13,} {correct:8,}")
    lines += [f"{x['kind']}:{x['number']} ({x['damage']}): {x['what']}" for x in found["failed"]]
    slowest, most = found["slowest_seconds"], found["peak_megabytes"]
    return "\n".join([*lines, f"{found['failures']:,} failures; at most {slowest} s and {most} MB"])


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: no failure; 1: failures."""
    parser = argparse.ArgumentParser(prog="bench.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000, metavar="N")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="repeat one case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, metavar="DIR", help="further photographs")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    kinds = options.kinds
    chosen = [(kinds[n % len(kinds)], n // len(kinds)) for n in range(options.cases)]
    if options.only:
        name, _, number = options.only.partition(":")
        if name not in KINDS or not number.isdigit():
            parser.error(f"--only {options.only}: must be KIND:NUMBER, as in {kinds[0]}:0")
        chosen = [(name, int(number))]
    tasks = [Task(name, n, KINDS[name], options.seed, options.data) for name, n in chosen]
    progress, results = Progress("case", len(tasks)), []
    for result in run(tasks, options.workers, options.time_limit):
        results.append(result)
        progress.advance()
    found = report(results)
    print(json.dumps(found, indent=2) if options.json else as_text(found))
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
