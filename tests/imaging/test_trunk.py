"""Another MobileNetV2: cut before its last pooling, whatever wrote it."""

import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.cli import main as cli
from adacompress_ref.imaging.extractor import Extractor, tensor
from adacompress_ref.imaging.session import ModelError
from adacompress_ref.imaging.trunk import cut
from adacompress_ref.storage import artifacts
from adacompress_ref.tables.table import Table

COLOURS = (10, 60, 210)
WIDTH = 24  # channels of a small net's map
CELL = [*COLOURS] + [sum(COLOURS)] * (WIDTH - 3)
PICTURE = Image.new("RGB", (64, 64), COLOURS)
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
ENDLESS = b"\xff" * 3_000_000  # one number, for minutes
SHIPPED = artifacts.find("mobilenetv2.onnx")


def described(path, **fields):
    """The same path, with a sidecar beside it."""
    path.with_name(f"{path.name}.json").write_text(json.dumps(fields))
    return path


@pytest.fixture
def no_onnx(monkeypatch):
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "onnx", None)


def test_the_shipped_one_with_a_sidecar_is_the_shipped_one(tmp_path, no_onnx):
    path = described(tmp_path / "mine.onnx", mean=127.5, std=127.5)
    shutil.copy(SHIPPED, path)
    view = np.random.default_rng(0).uniform(-1, 1, (2, 3, 96, 64)).astype(np.float32)
    mine, shipped = Extractor(path, 1), Extractor(threads=1)
    np.testing.assert_allclose(mine.run(view), shipped.run(view), atol=1e-3)
    assert mine.channels == 1280
    assert mine.sha256 != shipped.sha256  # to be sure: an agent of the one is not for the other


def test_the_input_is_part_of_what_it_is(tmp_path):
    path = tmp_path / "mine.onnx"
    shutil.copy(SHIPPED, path)
    made = [Extractor(described(path, mean=mean), 1).sha256 for mean in (0, 1, 0)]
    assert made[0] == made[2] != made[1]


def test_the_extra_is_asked_for(no_onnx):
    with pytest.raises(ModelError, match=r"squeezenet1_1\.onnx: .*pip install onnx$"):
        Extractor(artifacts.find("squeezenet1_1.onnx"))  # its sidecar is there


def test_a_sidecar_is_asked_for(tmp_path):
    path = tmp_path / "classifier.onnx"
    shutil.copy(artifacts.find("squeezenet1_1.onnx"), path)
    with pytest.raises(ModelError, match=r"classifier\.onnx: has neither .* named map nor a side"):
        Extractor(path)


def test_another_net_is_refused(onnx):
    with pytest.raises(ModelError, match=r"makes a map \[1, 1000, 3, 5\]; a MobileNetV2 has"):
        Extractor(artifacts.find("squeezenet1_1.onnx"))  # its sidecar is there


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x08\x08\x3a\x02\x0a\x7f", b"\x3f", ENDLESS]
)
def test_what_is_no_model(tmp_path, onnx, content):
    path = described(tmp_path / "mine.onnx")
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"mine\.onnx: not a whole ONNX model"):
        Extractor(path)


def test_damaged_models_are_refused_in_one_line(tmp_path):
    whole = artifacts.find("squeezenet1_1.onnx").read_bytes()
    path, draw = described(tmp_path / "mine.onnx"), np.random.default_rng(0)
    for _ in range(30):
        damaged = bytearray(whole[: int(draw.integers(1, len(whole)))])
        for place in draw.integers(0, min(len(damaged), 2000), 3):
            damaged[place] ^= int(draw.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"^[^\n]*mine\.onnx: [^\n]*$"):
            Extractor(path, 1)


# Written by the package onnx ---------------------------------------------------------------------


@pytest.fixture
def onnx():
    return pytest.importorskip("onnx", reason="the extra `dev` installs onnx")


def small(onnx, pooling="GlobalAveragePool", nhwc=False, outputs=("scores",), old=False, kind=1):
    """A net with MobileNetV2's ends: a map of the three colours and their sums, and 1000 scores.

    Cells are of 32 x 32 pixels, the input is one image of 224 x 224, its numbers of a `kind`.
    """
    weights = np.zeros((WIDTH, 3, 32, 32), np.float32)
    weights[3:] = 1 / 32**2
    for channel in range(3):
        weights[channel, channel] = 1 / 32**2
    constants = {
        "kernel": weights,
        "matrix": np.ones((WIDTH, 1000), np.float32),
        "axes": np.array([1, 2] if nhwc else [2, 3]),
        "place": np.array([1, WIDTH]),
    }
    node, make = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [node("Conv", ["planes", "kernel"], ["cells"], strides=[32, 32])]
    if nhwc:
        nodes.insert(0, node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]))
        nodes.append(node("Transpose", ["cells"], ["last"], perm=[0, 2, 3, 1]))
    else:
        nodes.insert(0, node("Identity", ["image"], ["planes"]))
        nodes.append(node("Relu", ["cells"], ["last"]))
    extra = {"AveragePool": {"kernel_shape": [7, 7]}}.get(pooling, {})
    taken = ["last", "axes"] if pooling == "ReduceMean" else ["last"]
    nodes += [
        node(pooling or "Identity", taken, ["mean"], **extra),
        node("Reshape", ["mean", "place"], ["flat"]),
        node("MatMul", ["flat", "matrix"], ["scores"]),
    ]
    if kind != 1:  # nodes in no order, as a converter to float16 of ONNX Runtime leaves them
        nodes[0].output[0] = "raw"
        nodes.append(node("Cast", ["raw"], ["planes"], to=1))
    if not pooling:
        del nodes[-3:]
    known = {"scores": [1, 1000], "last": [1, WIDTH, 7, 7]}
    tensors = [onnx.numpy_helper.from_array(each, name) for name, each in constants.items()]
    inputs = [make("image", kind, [1, 224, 224, 3] if nhwc else [1, 3, 224, 224])]
    if old:  # before ONNX 1.4 weights were inputs too
        inputs = [make(each.name, each.data_type, each.dims) for each in tensors] + inputs
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        inputs,
        [make(name, 1, known[name]) for name in outputs],
        tensors,
        value_info=[make("mean", 1, [1, WIDTH, 1, 1])],
    )
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pooling": "ReduceMean"},
        {"pooling": "AveragePool"},  # a window of 7 x 7, which smaller maps do not fill
        {"pooling": "ReduceMean", "nhwc": True},
        {"outputs": ("scores", "last")},
        {"old": True},
        {"kind": 10},  # float16
        {"pooling": None, "outputs": ("last",)},  # cut already
    ],
)
def test_any_outputs_and_layouts(onnx, tmp_path, options):
    path = tmp_path / "small.onnx"
    onnx.save(small(onnx, **options), path)
    layout = "NHWC" if options.get("nhwc") else "NCHW"
    extractor = Extractor(described(path, layout=layout, scale=1 / 255), 1)
    assert extractor.channels == WIDTH
    for side in (64, 224):  # not that of the file alone
        found = extractor.run(np.stack([tensor(PICTURE, "bilinear", side)] * 2))
        assert found.shape == (2, WIDTH, side // 32, side // 32)
        expected = np.array(CELL) / 255
        assert found.dtype == np.float32
        near = 1e-3 if options.get("kind") else 1e-4
        np.testing.assert_allclose(found.mean(axis=(2, 3)), [expected] * 2, rtol=near)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_the_sidecar_says_how_pixels_go_in(onnx, tmp_path, channels):
    path = tmp_path / "small.onnx"
    onnx.save(small(onnx), path)
    extractor = Extractor(described(path, channels=channels, mean=[1, 2, 3], std=[2, 4, 8]), 1)
    found = extractor.run(tensor(PICTURE, "bilinear", 64)[None])[0, :3, 0, 0]
    ordered = COLOURS if channels == "RGB" else COLOURS[::-1]
    by_hand = [(ordered[0] - 1) / 2, (ordered[1] - 2) / 4, (ordered[2] - 3) / 8]
    np.testing.assert_allclose(found, by_hand, rtol=1e-4)


def test_weights_in_a_file_of_their_own(onnx, tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(small(onnx), path, save_as_external_data=True, location="w.data", size_threshold=0)
    view = tensor(PICTURE, "bilinear", 64)[None]
    found = Extractor(described(path, scale=1 / 255), 1).run(view)[0, :, 0, 0]
    np.testing.assert_allclose(found, np.array(CELL) / 255, rtol=1e-4)
    before = Extractor(path, 1).sha256
    content = bytearray((tmp_path / "w.data").read_bytes())
    content[2] ^= 1
    (tmp_path / "w.data").write_bytes(content)
    assert Extractor(path, 1).sha256 != before
    (tmp_path / "w.data").unlink()
    with pytest.raises(ModelError, match=r"w\.data: weights of the model, but no file"):
        Extractor(path)


def test_the_wrong_layout_is_said_in_one_line(onnx, tmp_path, capfd):
    onnx.save(small(onnx), path := described(tmp_path / "small.onnx", layout="NHWC"))
    with pytest.raises(ModelError, match=r"any size as NHWC; its [^\n]*$"):
        Extractor(path, 1)
    assert capfd.readouterr() == ("", "")  # from ONNX Runtime neither


def test_the_head_is_left_out(onnx, tmp_path):
    model, node = small(onnx), onnx.helper.make_node
    model.graph.node[2].CopyFrom(node("Clip", ["cells", "", "axes"], ["last"]))  # without a minimum
    model.graph.node.append(node("Dropout", ["scores"], ["again", ""]))  # and a mask
    onnx.save(model, path := tmp_path / "small.onnx")
    graph = onnx.load_from_string(cut(path, False)).graph
    assert [each.op_type for each in graph.node] == ["Identity", "Conv", "Clip"]
    assert [each.name for each in graph.initializer] == ["kernel", "axes"]


def with_map(onnx, free):
    """A small net that has an output `map`, for one image of 224 x 224 or for any if `free`."""
    model = small(onnx, pooling=None, outputs=("last",))
    model.graph.node[-1].output[0] = model.graph.output[0].name = "map"
    if free:
        del model.graph.output[0].type.tensor_type.shape.dim[:]
        for place in (0, 2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = f"any{place}"
    return model


def test_a_map_without_a_sidecar_is_tried_too(onnx, tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(with_map(onnx, free=False), path)
    with pytest.raises(ModelError, match=r"does not take images of any size as NCHW; its s"):
        Extractor(path, 1)
    onnx.save(with_map(onnx, free=True), path)
    assert Extractor(path, 1).channels == WIDTH


def test_a_map_for_images_of_any_size_is_not_cut(onnx, tmp_path, monkeypatch):
    path = described(tmp_path / "small.onnx")
    onnx.save(with_map(onnx, free=True), path)
    with_extra = Extractor(path, 1)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert Extractor(path, 1).sha256 == with_extra.sha256  # an agent goes from host to host
    assert cut(path, False) == path.read_bytes()


@pytest.mark.parametrize(("free", "external"), [(False, False), (True, True)])
def test_a_map_that_is_cut_all_the_same(onnx, tmp_path, monkeypatch, free, external):
    path = described(tmp_path / "small.onnx")
    how = {"save_as_external_data": external, "location": "w.data", "size_threshold": 0}
    onnx.save(with_map(onnx, free), path, **(how if external else {}))
    assert Extractor(path, 1).channels == WIDTH
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"small\.onnx: .* the extra onnx"):
        Extractor(path, 1)


def test_what_onnx_runtime_cannot_say_is_printed_by_nobody(onnx, tmp_path, capfd):
    path = described(tmp_path / "small.onnx")
    path.write_bytes(small(onnx).SerializeToString().replace(b"Relu", b"Rel\xee"))
    with pytest.raises(ModelError, match=r"small\.onnx: not a usable ONNX model \([^\n]*$"):
        Extractor(path, 1)
    assert capfd.readouterr() == ("", "")


def test_a_model_of_two_inputs(onnx, tmp_path):
    model = small(onnx)
    model.graph.input.insert(0, onnx.helper.make_tensor_value_info("ratio", 1, []))
    onnx.save(model, path := described(tmp_path / "small.onnx"))
    assert Extractor(path, 1).input_name == "image"  # the map needs no other
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Mul", ["image", "ratio"], ["planes"]))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"takes 2 inputs \(ratio, image\), not just an image"):
        Extractor(path, 1)


def test_no_more_is_read_than_a_model_can_have(onnx, tmp_path):
    model = small(onnx)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "w.data")
    path = described(tmp_path / "small.onnx")
    path.write_bytes(model.SerializeToString())
    for file in (tmp_path / "w.data", path):
        with file.open("ab") as stream:
            stream.truncate(2**40)  # it takes no room on disk
        with pytest.raises(ModelError, match=rf"{file.name}: cannot be read \(1,099,5.* room for"):
            Extractor(path, 1)


@pytest.mark.parametrize(
    "place", ["../secret", "/etc/hostname", "inside/../../secret", ".", "link", "loop", "a\nb\0"]
)
def test_weights_outside_its_folder_are_not_read(onnx, tmp_path, place):
    (tmp_path / "secret").write_bytes(bytes(10**5))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder" / "loop").symlink_to("loop")
    path = described(tmp_path / "folder" / "small.onnx")
    model = small(onnx)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], place)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"^[^\n]*weights of the model, but no file in its"):
        cut(path, False)


# Written by PyTorch ------------------------------------------------------------------------------


def torch_net(torch, head, nhwc):
    """Five halvings with batch norms and ReLU6, as MobileNetV2 has them, at random; 1000 scores."""
    nn, layers = torch.nn, []
    for entering, leaving in pairwise((3, 16, 24, 32, 48, 64)):
        layers += [nn.Conv2d(entering, leaving, 3, 2, 1), nn.BatchNorm2d(leaving), nn.ReLU6()]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(*layers)
            self.scores = nn.Linear(64, 1000)

        def forward(self, x):
            found = self.trunk(x.permute(0, 3, 1, 2) if nhwc else x)
            if head == "mean":
                return self.scores(found.mean((2, 3)))
            return self.scores(nn.functional.adaptive_avg_pool2d(found, 1).flatten(1))

    return Net().eval()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", ["mean", "adaptive"])
@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("dynamo", [False, True])
def test_what_pytorch_writes(tmp_path, head, nhwc, dynamo):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxscript" if dynamo else "onnx", reason="PyTorch writes ONNX by it")
    torch.manual_seed(0)
    net = torch_net(torch, head, nhwc)
    example = torch.zeros((1, 224, 224, 3) if nhwc else (1, 3, 224, 224))
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (example,), str(path), dynamo=dynamo, verbose=False)
    extractor = Extractor(described(path, layout="NHWC" if nhwc else "NCHW", **IMAGENET), 1)
    view = np.random.default_rng(0).uniform(-1, 1, (2, 3, 96, 160)).astype(np.float32)
    mean, std = (np.array(IMAGENET[name], np.float32)[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        expected = net.trunk(torch.tensor(((view + 1) / 2 - mean) / std)).numpy()
    found = extractor.run(view)
    assert found.shape == expected.shape == (2, 64, 3, 5)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())


# In use ------------------------------------------------------------------------------------------


@pytest.fixture
def own(onnx, tmp_path, monkeypatch):
    """A small net of one's own, `own.onnx`, three photographs in `few`, and how to run commands."""
    photos = Path(__file__).parents[1] / "photos"
    (tmp_path / "few").mkdir()
    for name in ("clock.jpg", "coffee.jpg", "rocket.jpg"):
        shutil.copy(photos / name, tmp_path / "few")
    onnx.save(small(onnx), described(tmp_path / "own.onnx", scale=1 / 255))
    monkeypatch.chdir(tmp_path)
    return lambda command: cli.main([*command.split(), "--quiet"])


@pytest.mark.parametrize("preset", ["paper", "tuned"])
def test_from_labels_to_a_run(own, capsys, preset):
    mine = "--extractor own.onnx"
    assert own(f"label --images few --service squeezenet -o t.npz --workers 1 {mine}") == 0
    assert Table.load("t.npz").features.shape == (3, 2, 2, WIDTH)
    assert own(f"train --table t.npz -o a.npz --steps 20 --preset {preset}") == 0
    assert own(f"run --images few --service squeezenet --agent a.npz --state s {mine}") == 0
    assert own(f"compress few --agent a.npz {mine}") == 0
    assert own(f"explain few --agent a.npz -o heat.png {mine}") == 0
    assert own(f"report s --images few -o r.html {mine}") == 0
    capsys.readouterr()
    for command in ("compress few", "run --images few --service squeezenet"):
        assert own(f"{command} --agent a.npz") == 2  # with the shipped extractor
        assert "the agent was trained with another extractor" in capsys.readouterr().err
    assert own(f"compress few {mine}") == 2  # with the shipped agent
    assert own(f"label --images few --service squeezenet -o t.npz {mine}") == 0
    assert own("label --images few --service squeezenet -o t.npz") == 2
    assert "choose another name" in capsys.readouterr().err


def test_from_nothing(own, capsys):
    mine = "--service squeezenet --images few --extractor own.onnx"
    assert own(f"train {mine} -o a.npz --steps 3 --preset paper") == 0
    assert own(f"run {mine} --untrained --preset paper --state s") == 0
    assert own(f"run {mine} --untrained --preset paper --state s") == 0
    assert own("run --service squeezenet --images few --untrained --preset paper --state s") == 2
    assert "another extractor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "train --table t.npz -o a.npz --extractor own.onnx",
            "leave out --encodings and --extractor",
        ),
        ("report s -o r.html --extractor own.onnx", "name --images too"),
        ("compress few --extractor nothing.onnx", "nothing.onnx: there is no such file"),
        ("compress few --extractor few/clock.jpg", "clock.jpg: not a usable ONNX model"),
    ],
)
def test_what_does_not_go_together(own, capsys, command, said):
    try:
        status = own(command)
    except SystemExit as exit_:  # of argparse
        status = exit_.code
    assert (status, said in capsys.readouterr().err) == (2, True)
