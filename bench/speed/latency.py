"""What a decision costs, step by step, against ONNX Runtime, PyTorch, Keras and Pillow.

`python -m bench.speed.latency [--threads 2] [--repetitions 200] [--photos DIR] [--json]`

Photographs of three sizes are laid together from those in `tests/photos` (or `--photos`). A
decision is what is done with a decoded image until its level is known: resize, tensor, E and
Q-values, and in `tuned` and `ladder`, which may send WebP too, sizes of encodings. Peers: ONNX
Runtime's own time for E at 224 x 224 pixels on as many threads; the authors' way with Keras and
its MobileNetV2; PyTorch's network; Pillow's read, encode and write alone. What is not installed is
named and left out.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.imaging.extractor import CHANNELS, tensor
from adacompress_ref.imaging.session import onnxruntime
from adacompress_ref.running.live import LiveImage
from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.storage import artifacts, files

from ..command import PHOTOGRAPHS, parser
from .peers import keras_network, pytorch_network
from .ratios import Row, beyond, duration, in_turns, missing, ratio, show

SIZES = {"500 x 375": (500, 375), "1920 x 1080": (1920, 1080), "12 megapixels": (4000, 3000)}
PRESETS = ("authors", "paper", "tuned", "ladder")
TARGETS = {"authors": "<= 1.15", "paper": "<= 1.35", "tuned": "<= 1.6", "ladder": "<= 4"}
FORMATS = ("jpeg", "webp")  # that may be sent; `ladder` alone has the second
BEYOND_E = "<= 20"  # milliseconds
FILE_TARGETS = {"authors": "<= 1.25", "tuned": "<= 2"}


def mosaic(photos: list[Image.Image], size: tuple[int, int]) -> bytes:
    """A JPEG, quality 92, of photographs side by side at their own size."""
    whole, top, place = Image.new("RGB", size), 0, 0
    while top < size[1]:
        left, tallest = 0, 0
        while left < size[0]:
            photo = photos[place % len(photos)]
            whole.paste(photo, (left, top))
            left, tallest, place = left + photo.width, max(tallest, photo.height), place + 1
        top += tallest
    stream = io.BytesIO()
    whole.save(stream, "JPEG", quality=92)
    return stream.getvalue()


def fill(folder: Path, count: int) -> None:
    """So many photographs of 500 x 375 pixels, in a new folder."""
    photos = [images.read(path).picture for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    folder.mkdir()
    for number in range(count):
        turned = photos[number % len(photos) :] + photos[: number % len(photos)]
        (folder / f"{number}.jpg").write_bytes(mosaic(turned, (500, 375)))


def decide(pilot: AdaCompress, photo: images.Photo) -> int:
    """The level, from a decoded image."""
    image = LiveImage(photo, pilot.view, pilot.extractor, formats=FORMATS)
    return int(np.argmax(pilot.agent.q_values(image.state)))


def steps(photo: images.Photo, pilots: dict[str, AdaCompress]) -> dict[str, Callable[[], object]]:
    """The parts of a decision, one by one."""
    picture, agent = photo.picture, pilots["authors"].agent
    view, state = tensor(picture, "nearest")[None], np.zeros(CHANNELS, np.float32)
    parts: dict[str, Callable[[], object]] = {
        "decode": partial(images.read, photo.file),
        "resize and tensor, nearest": partial(tensor, picture, "nearest"),
        "resize and tensor, bilinear": partial(tensor, picture, "bilinear"),
        "extractor at 224": partial(pilots["authors"].extractor.run, view),
        "Q-values": partial(agent.q_values, state),
        "encode, quality 75": partial(codec.encode, picture, REFERENCE),
    }
    decisions = {f"decision, {name}": partial(decide, each, photo) for name, each in pilots.items()}
    return parts | decisions


def from_file_to_file(pilot: AdaCompress, source: Path, output: Path) -> None:
    """Read, decide, encode, write: whole or not at all, and on disk when it returns."""
    choice = pilot.choose(source, reference=False)
    files.save_atomically(output, choice.payload)


def pillow_alone(source: Path, output: Path, quality: int) -> None:
    """Read, encode, write, at the quality that was chosen."""
    with Image.open(source) as image:
        image.save(output, "JPEG", quality=quality)


def against_onnx_runtime(
    photo: images.Photo, pilots: dict[str, AdaCompress], options: argparse.Namespace
) -> list[Row]:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(
        str(artifacts.find("mobilenetv2.onnx")), settings, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: tensor(photo.picture, "nearest")[None]}
    rows = []
    for name, pilot in pilots.items():
        jobs = {"peer": partial(session.run, ["map"], feed), "own": partial(decide, pilot, photo)}
        seconds = in_turns(jobs, options.repetitions)
        title = f"decision, {name} / ONNX Runtime's extractor at 224"
        rows.append(ratio(title, seconds["own"], seconds["peer"], TARGETS[name]))
    return rows


def against_pytorch(agent: DQNAgent, options: argparse.Namespace) -> Row:
    name, target = "Q-values of one image: PyTorch eager / ours", ">= 4.5"
    try:
        import torch
    except ImportError:
        return missing(name, "PyTorch", target)
    network = pytorch_network(agent, options.threads)
    state = np.random.default_rng(0).random(CHANNELS, np.float32)

    def theirs() -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(state)[None]).numpy()

    np.testing.assert_allclose(theirs()[0], agent.q_values(state), rtol=1e-3, atol=1e-5)
    jobs = {"peer": theirs, "own": partial(agent.q_values, state)}
    seconds = in_turns(jobs, 10 * options.repetitions)
    return ratio(name, seconds["own"], seconds["peer"], target)


def against_keras(photo: images.Photo, pilot: AdaCompress, options: argparse.Namespace) -> Row:
    """The authors' path: `predict` of a Keras MobileNetV2 and of the Q-network."""
    name, target = "decision: the authors' Keras path / ours", ">= 20"
    try:
        from tensorflow import keras  # type: ignore[import-not-found]
    except ImportError:
        return missing(name, "Keras on TensorFlow", target)
    extractor = keras.applications.MobileNetV2(include_top=False, weights=None)
    pool = keras.layers.AveragePooling2D(4, 4)(extractor.output)
    extractor, network = keras.Model(extractor.input, pool), keras_network(pilot.config)

    def theirs() -> int:
        pixels = np.asarray(photo.picture.resize((224, 224), Image.Resampling.NEAREST), np.float32)
        features = extractor.predict(pixels[None] / 127.5 - 1, verbose=0).reshape(1, -1)
        return int(network.predict(features, verbose=0).argmax())

    jobs = {"peer": theirs, "own": partial(decide, pilot, photo)}
    seconds = in_turns(jobs, options.repetitions // 4)
    return ratio(name, seconds["own"], seconds["peer"], target)


def against_pillow(
    source: Path, pilots: dict[str, AdaCompress], options: argparse.Namespace
) -> list[Row]:
    rows = []
    output = source.with_name("output.jpg")
    for name, target in FILE_TARGETS.items():
        quality = pilots[name].choose(source).quality
        assert quality is not None
        jobs = {
            "peer": partial(pillow_alone, source, output, quality),
            "own": partial(from_file_to_file, pilots[name], source, output),
        }
        seconds = in_turns(jobs, options.repetitions // 4)
        title = f"12 megapixels, file to file, {name} / Pillow alone"
        rows.append(ratio(title, seconds["own"], seconds["peer"], target))
    return rows


def measured(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    photos = [images.read(path).picture for path in sorted(options.photos.glob("*.jpg"))]
    pilots = {name: AdaCompress.load(name, threads=options.threads) for name in PRESETS}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            photo = images.read(mosaic(photos, size))
            often = options.repetitions if size[0] < 1000 else options.repetitions // 4
            seconds = in_turns(steps(photo, pilots), often)
            rows += [duration(f"{name}: {part}", values) for part, values in seconds.items()]
            if size[0] < 1000:
                rows += against_onnx_runtime(photo, pilots, options)
                rows.append(against_keras(photo, pilots["authors"], options))
        decided, alone = seconds["decision, tuned"], seconds["extractor at 224"]
        rows.append(beyond(f"{name}: decision of tuned beyond E", decided, alone, BEYOND_E))
        rows.append(against_pytorch(pilots["authors"].agent, options))
        source = Path(folder) / "source.jpg"
        source.write_bytes(photo.file)
        return rows + against_pillow(source, pilots, options)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.latency", __doc__)
    command.add_argument("--threads", type=int, default=2, metavar="N")
    command.add_argument("--repetitions", type=int, default=200, metavar="N")
    command.add_argument("--photos", type=Path, default=PHOTOGRAPHS, metavar="DIR")
    options = command.parse_args(arguments)
    return show(measured(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
