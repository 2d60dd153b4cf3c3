"""Damaged files of ours: states, tables, agents, sidecars, recordings."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adacompress_ref import agents
from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import Config
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.imaging import codec
from adacompress_ref.imaging.encoding import REFERENCE, TEN_LEVELS
from adacompress_ref.running import runlog
from adacompress_ref.running.lock import StateError
from adacompress_ref.running.seen import counts
from adacompress_ref.running.state import StateFolder
from adacompress_ref.services import ask, formats
from adacompress_ref.services.errors import ServiceError
from adacompress_ref.services.onnx import ModelError, Sidecar
from adacompress_ref.services.recorded import Recorded
from adacompress_ref.tables.table import Row, Source, Table, TableError

from .answers import check_labels
from .general import Case, Random, damaged, dumped, expect, pick


class Fixed:
    """An image whose state is zero, and whose label survives all levels but the first."""

    def __init__(self, agent: Any) -> None:
        actions = [] if isinstance(agent, DQNAgent) else [len(agent.config.encodings)]
        self.state = np.zeros((*actions, agent.inputs), np.float32)

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        found = Upload(20, [Label("cat" if action else "dog", 0.5)])
        return found, Upload(100, [Label("cat", 0.5)]) if reference else None


def small_agent(preset: str) -> Any:
    names = tuple(encoding.name for encoding in TEN_LEVELS[:3])
    config = agents.preset(preset).replace(encodings=names, replay_capacity=12, window=3)
    if isinstance(config, Config):
        config = config.replace(hidden=(6,), learning_starts=4)
    agent = agents.new_agent(config, np.random.default_rng(0), channels=4)
    agent.stamp = {"service": "fake"}
    return agent


LINE = dict.fromkeys(runlog.FIELDS) | {
    **{"image": "a.jpg", "state": "estimate", "encoding": "jpeg-q15", "answered_by": "reference"},
    **{"bytes": 20, "bytes_sent": 120, "reference_bytes": 100, "original_bytes": 500},
    **{"labels": [["cat", 0.5]], "compressed_labels": [["dog", 0.5]], "agreement": 0},
}


def open_state(folder: Path) -> StateFolder:
    return StateFolder(folder, {"seed": 0}, runlog.check)


def write_state(folder: Path, preset: str) -> None:
    state, agent = open_state(folder), small_agent(preset)
    running = Controller(agent, agents.monitor_of(agent), trained=False)
    for number in range(8):
        running.step(Fixed(running.agent))
        state.append(LINE, {"encode": 0.1, "total": 0.5})
        if number in (4, 7):
            state.save(running)
    state.close()


def read_state(folder: Path) -> None:
    state = open_state(folder)
    try:
        runlog.figures(state.totals, [], **counts(state.seen.troubles))
        if state.controller is not None:
            state.controller.step(Fixed(state.controller.agent))
    finally:
        state.close()


def write_agent(folder: Path, preset: str) -> None:
    agents.save(small_agent(preset), folder / "agent.npz")


def read_agent(folder: Path) -> None:
    agent = agents.load(folder / "agent.npz")
    values = agent.q_values(Fixed(agent).state)
    expect(values.shape == (len(agent.config.encodings),), f"Q-values {values.shape}")
    expect(np.isfinite(values).all(), "Q-values that are not finite")


def write_table(folder: Path, preset: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(
            *(f"{number}.jpg", f"digest {number}", 1000, *rng.integers(50, 200, (2, 3))),
            *(np.full((3, 5), "cat"), rng.random((3, 5), np.float32)),
            *(rng.random(shape, np.float32) for shape in ((2, 2, 1280), 9)),
        )
        for number in range(2)
    ]
    Table.from_rows(Source("fake", TEN_LEVELS[:2], "E"), rows).save(folder / "table.npz")


def read_table(folder: Path) -> None:
    table = Table.load(folder / "table.npz")
    for preset in ("tuned", "paper"):
        names = tuple(encoding.name for encoding in table.source.encodings)
        view = agents.view_of(agents.preset(preset).replace(encodings=names))
        states = view.of_table(table)
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
    pixels = found.normalisation
    numbers = [found.input_size, found.crop or 1, pixels.scale, *pixels.mean, *pixels.std]
    expect(np.isfinite(numbers).all() and 0 not in pixels.std, f"{numbers}")
    expect(all(isinstance(label, str) for label in found.labels), "labels that are no text")


@functools.cache
def payload() -> bytes:
    return codec.encode(Image.new("RGB", (16, 16)), REFERENCE)


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
    "agent": (write_agent, read_agent, agents.AgentError),
    "sidecar": (write_sidecar, read_sidecar, ModelError),
    "recording": (write_recording, read_recording, ServiceError),
}


@functools.cache
def written(kind: str, preset: str) -> dict[str, bytes]:
    """The files of a kind as they should be."""
    with tempfile.TemporaryDirectory() as folder:
        FILES[kind][0](Path(folder), preset)
        return {
            path.name: path.read_bytes()
            for path in sorted(Path(folder).iterdir())
            if path.stat().st_size
        }


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
