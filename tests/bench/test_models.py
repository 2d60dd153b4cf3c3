"""Converted classifiers: padding, block list, and a whole conversion against PyTorch."""

import json

import numpy as np
import pytest

from bench import models


def test_same_padding_by_hand():
    # 224 to 112 with a window of 3: the last starts at 222 and ends at 225, one beyond.
    assert models.same_padding(224, 3, 2) == (0, 0, 1, 1)
    assert models.same_padding(56, 5, 2) == (1, 1, 2, 2)
    assert models.same_padding(15, 5, 2) == (2, 2, 2, 2)
    assert models.same_padding(14, 5, 1) == (2, 2, 2, 2)
    assert models.same_padding(7, 1, 1) == (0, 0, 0, 0)


def test_lite0_has_16_blocks():
    blocks = list(models.blocks(models.LITE["efficientnet-lite0"][1]))
    assert len(blocks) == 16
    assert blocks[0] == (32, 16, 1, 1, 3)
    assert blocks[1] == (16, 24, 6, 2, 3)
    assert blocks[-1] == (192, 320, 6, 1, 3)
    assert len(list(models.blocks(models.LITE["efficientnet-lite1"][1]))) == 21


def test_batch_norm_is_folded():
    rng = np.random.default_rng(0)
    weights = {"c.weight": rng.normal(size=(2, 3, 1, 1))}
    weights |= {f"n.{part}": rng.uniform(0.5, 2, 2) for part in NORM}
    kernel, bias = models.folded(weights, "c", "n")
    x = rng.normal(size=3)
    plain = weights["c.weight"][:, :, 0, 0] @ x
    spread = np.sqrt(weights["n.running_var"] + 1e-3)
    expected = (plain - weights["n.running_mean"]) / spread * weights["n.weight"]
    assert np.allclose(kernel[:, :, 0, 0] @ x + bias, expected + weights["n.bias"])


@pytest.mark.parametrize("name", list(models.PRODUCTS))
def test_sidecars_are_readable(name, tmp_path):
    onnx_service = pytest.importorskip("adacompress_ref.services.onnx")
    path = tmp_path / "model.json"
    path.write_text(json.dumps(models.sidecar(name)), "utf-8")
    assert len(onnx_service.Sidecar.read(path).labels) == (2 if name == "nsfw" else 1000)


def test_available_names_what_is_there(tmp_path):
    assert models.available(tmp_path) == {}
    (tmp_path / "nsfw.onnx").write_bytes(b"")
    assert models.available(tmp_path) == {}
    (tmp_path / "nsfw.json").write_text("{}")
    assert models.available(tmp_path) == {"nsfw": tmp_path / "nsfw.onnx"}


NORM = ("weight", "bias", "running_mean", "running_var")


def random_checkpoint(torch):
    """The layers of EfficientNet-Lite0 under the publisher's names, random values."""
    torch.manual_seed(0)
    state = {}

    def layer(name, norm, leaving, entering, kernel):
        scale = (entering * kernel * kernel) ** -0.5
        state[f"{name}.weight"] = torch.randn(leaving, entering, kernel, kernel) * scale
        for part in NORM:
            state[f"{norm}.{part}"] = torch.rand(leaving) + 0.5

    layer("_conv_stem", "_bn0", 32, 3, 3)
    shapes = list(models.blocks(models.LITE["efficientnet-lite0"][1]))
    for index, (entering, leaving, expansion, _, kernel) in enumerate(shapes):
        block, wide = f"_blocks.{index}", entering * expansion
        if expansion > 1:
            layer(f"{block}._expand_conv", f"{block}._bn0", wide, entering, 1)
        layer(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, kernel)
        layer(f"{block}._project_conv", f"{block}._bn2", leaving, wide, 1)
    layer("_conv_head", "_bn1", 1280, 320, 1)
    state["_fc.weight"] = torch.randn(1000, 1280) * 0.03
    state["_fc.bias"] = torch.randn(1000)
    return state, shapes


def reference(torch, state, shapes, x):
    """The network written again with PyTorch's own layers."""
    from torch.nn import functional as f

    def layer(x, name, norm, stride=1, groups=1):
        kernel = state[f"{name}.weight"]
        top, left, bottom, right = models.same_padding(x.shape[2], kernel.shape[2], stride)
        x = f.conv2d(f.pad(x, (left, right, top, bottom)), kernel, stride=stride, groups=groups)
        weight, bias, mean, variance = (state[f"{norm}.{part}"] for part in NORM)
        return f.batch_norm(x, mean, variance, weight, bias, eps=1e-3)

    x = f.relu6(layer(x, "_conv_stem", "_bn0", 2))
    for index, (entering, leaving, expansion, stride, _) in enumerate(shapes):
        block, start = f"_blocks.{index}", x
        if expansion > 1:
            x = f.relu6(layer(x, f"{block}._expand_conv", f"{block}._bn0"))
        groups = entering * expansion
        x = f.relu6(layer(x, f"{block}._depthwise_conv", f"{block}._bn1", stride, groups))
        x = layer(x, f"{block}._project_conv", f"{block}._bn2")
        x = x + start if stride == 1 and entering == leaving else x
    x = f.relu6(layer(x, "_conv_head", "_bn1")).mean(dim=(2, 3))
    return x, x @ state["_fc.weight"].T + state["_fc.bias"]


@pytest.mark.slow
def test_conversion_computes_what_pytorch_does():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for needed in ("onnx", "h5py", "onnxruntime"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    import io

    import onnxruntime

    state, shapes = random_checkpoint(torch)
    stream = io.BytesIO()
    torch.save(state, stream)
    made = models.efficientnet_lite("efficientnet-lite0", stream.getvalue())
    again = models.efficientnet_lite("efficientnet-lite0", stream.getvalue())
    assert made == again
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        features, logits = reference(torch, state, shapes, x)
    found = session.run(["logits", "features"], {"image": x.numpy()})
    assert np.allclose(found[0], logits.numpy(), atol=1e-3 * float(logits.abs().max()))
    assert np.allclose(found[1], features.numpy(), atol=1e-3 * float(features.abs().max()))
