"""Reading Keras 2 files: the authors' network, files written here, and files of no use."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adacompress_ref as ac
from adacompress_ref.core.config import AUTHORS
from adacompress_ref.imaging.encoding import TEN_LEVELS
from bench.paper import keras_parity

h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras files cannot be read")

REPOSITORY = Path(__file__).resolve().parents[1]
AGENT, VALUES = "authors_agent_imagenet_baidu.h5", "authors_agent_q_values.npz"


# Files as Keras 2 writes them --------------------------------------------------------------------


def dense(name, activation="relu", use_bias=True):
    settings = {"name": name, "activation": activation, "use_bias": use_bias}
    return {"class_name": "Dense", "config": settings}


def stack(widths, seed=0):
    """Layers with ReLU between them and a linear end, and their arrays by name."""
    draw = np.random.default_rng(seed)
    names = [f"dense_{place}" for place in range(1, len(widths))]
    layers = [dense(name) for name in names[:-1]] + [dense(names[-1], "linear")]
    arrays = {
        name: [
            draw.normal(size=(inputs, outputs)).astype(np.float32),
            draw.normal(size=outputs).astype(np.float32),
        ]
        for name, inputs, outputs in zip(names, widths, widths[1:], strict=False)
    }
    return layers, arrays


def write(path, layers, arrays, *, as_list=False, group="model_weights", text=None):
    """One HDF5 file; `text` in the place of the model's description."""
    config = layers if as_list else {"name": "sequential_1", "layers": layers}
    description = {"class_name": "Sequential", "config": config}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.2.4"
        file.attrs["model_config"] = (json.dumps(description) if text is None else text).encode()
        weights = file.create_group(group) if group else file
        for layer in layers:
            name = layer["config"]["name"]
            place = weights.create_group(name)
            pairs = zip(("kernel:0", "bias:0"), arrays.get(name, ()), strict=False)
            stored = {f"{name}/{kind}": array for kind, array in pairs}
            for key, array in stored.items():
                place[key] = array
            place.attrs["weight_names"] = [key.encode() for key in stored]
    return path


def expected(layers, arrays, states):
    """What the layers compute, written without the package."""
    output = states.astype(np.float64)
    for layer in layers:
        if layer["class_name"] != "Dense":
            continue
        kernel, *bias = arrays[layer["config"]["name"]]
        output = output @ kernel + (bias[0] if bias else 0)
        if layer["config"]["activation"] == "relu":
            output = np.maximum(output, 0)
    return output


def assert_computes(path, layers, arrays):
    agent = ac.load_keras(path)
    states = np.random.default_rng(1).normal(size=(7, agent.inputs))
    assert agent.q_values(states) == pytest.approx(expected(layers, arrays, states), abs=1e-4)
    return agent


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("widths", [(5, 4, 10), (5, 6, 4, 10), (5, 7, 6, 4, 3), (9, 8, 7, 6, 5, 4)])
def test_two_to_five_layers(tmp_path, widths, as_list):
    """Keras 2.2 describes a Sequential by an object, versions before it by a list."""
    layers, arrays = stack(widths)
    agent = assert_computes(
        write(tmp_path / "agent.h5", layers, arrays, as_list=as_list), layers, arrays
    )
    assert agent.inputs == widths[0]
    assert agent.config.hidden == widths[1:-1]
    assert len(agent.config.encodings) == widths[-1]
    assert agent.epsilon == 0


def test_one_layer_is_a_stack_too(tmp_path):
    layers, arrays = stack((5, 10))
    assert assert_computes(write(tmp_path / "a.h5", layers, arrays), layers, arrays)


def test_ten_outputs_are_the_ten_levels_of_preset_authors(tmp_path):
    agent = ac.load_keras(write(tmp_path / "agent.h5", *stack((5, 4, 10))))
    assert agent.config == AUTHORS.replace(hidden=(4,))
    assert agent.config.encodings == tuple(level.name for level in TEN_LEVELS)


def test_layers_without_bias(tmp_path):
    layers, arrays = stack((5, 6, 4, 3))
    for layer in layers[:2]:
        layer["config"]["use_bias"] = False
        arrays[layer["config"]["name"]].pop()
    agent = assert_computes(write(tmp_path / "agent.h5", layers, arrays), layers, arrays)
    assert not agent.network.biases[0].any()
    assert not agent.network.biases[1].any()
    assert agent.network.biases[2].any()


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("kind", ["Dropout", "InputLayer", "Flatten"])
def test_layers_that_change_nothing_are_passed_over(tmp_path, kind, place):
    layers, arrays = stack((5, 6, 4, 3))
    layers.insert(place, {"class_name": kind, "config": {"name": "other_1", "rate": 0.5}})
    assert_computes(write(tmp_path / "agent.h5", layers, arrays), layers, arrays)


def test_a_file_of_weights_with_a_description(tmp_path):
    """The layers' groups may stand at the root, as `save_weights` puts them."""
    layers, arrays = stack((5, 4, 3))
    assert_computes(write(tmp_path / "agent.h5", layers, arrays, group=None), layers, arrays)


def test_what_is_loaded_can_learn(tmp_path):
    agent = ac.load_keras(write(tmp_path / "a.h5", *stack((5, 4, 3))))
    before = agent.network.parameters.copy()
    agent.fit(np.ones((2, 5), np.float32), np.array([0, 1]), np.array([9.0, -9.0]))
    assert not np.array_equal(agent.network.parameters, before)


def test_saved_and_loaded_no_bit_changes(tmp_path):
    layers, arrays = stack((5, 6, 4, 3))
    agent = ac.load_keras(write(tmp_path / "agent.h5", layers, arrays))
    flat = [array.ravel() for layer in layers for array in arrays[layer["config"]["name"]]]
    assert agent.network.parameters.tobytes() == np.concatenate(flat).tobytes()
    ac.save(agent, tmp_path / "agent.npz")
    again = ac.load(tmp_path / "agent.npz")
    assert again.network.parameters.tobytes() == agent.network.parameters.tobytes()
    assert again.config == agent.config


# Files of no use ---------------------------------------------------------------------------------


def assert_refused(path, words=""):
    with pytest.raises(ac.AgentError) as caught:
        ac.load_keras(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("place", "activation"), [(0, "tanh"), (1, "linear"), (2, "softmax"), (2, "relu"), (0, None)]
)
def test_another_activation_is_refused(tmp_path, place, activation):
    layers, arrays = stack((5, 6, 4, 3))
    layers[place]["config"]["activation"] = activation
    assert_refused(write(tmp_path / "agent.h5", layers, arrays), f"layer dense_{place + 1}: Dense")


@pytest.mark.parametrize("kind", ["BatchNormalization", "Conv2D"])
def test_another_layer_is_refused(tmp_path, kind):
    layers, arrays = stack((5, 6, 3))
    layers.insert(1, {"class_name": kind, "config": {"name": "other_1"}})
    assert_refused(write(tmp_path / "agent.h5", layers, arrays), "layer other_1: ")


def test_an_unknown_format_of_the_description_is_refused(tmp_path):
    for text in ("", "{", "5", '{"config": {}}', '{"config": {"layers": []}}'):
        assert_refused(write(tmp_path / "agent.h5", *stack((5, 4, 3)), text=text))


def test_missing_weights_are_refused(tmp_path):
    layers, arrays = stack((5, 6, 3))
    del arrays["dense_2"]
    assert_refused(write(tmp_path / "agent.h5", layers, arrays))


def test_layers_that_do_not_fit_each_other_are_refused(tmp_path):
    layers, arrays = stack((5, 6, 3))
    arrays["dense_2"][0] = np.zeros((7, 3), np.float32)
    assert_refused(write(tmp_path / "agent.h5", layers, arrays))


def test_a_file_without_a_description_is_refused(tmp_path):
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    assert_refused(tmp_path / "empty.h5")


@pytest.mark.parametrize("kept", [0, 100, 0.3, 0.7])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = write(tmp_path / "agent.h5", *stack((50, 40, 10)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    assert_refused(path)


def test_another_kind_of_file_a_folder_and_nothing_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5\nat all\n")
    assert_refused(tmp_path / "text.h5")
    assert_refused(tmp_path)
    assert_refused(tmp_path / "none.h5")


# The authors' network, and the command -----------------------------------------------------------


def test_the_authors_network(shared):
    agent = ac.load_keras(shared / "golden" / AGENT)
    assert agent.config == AUTHORS
    assert agent.inputs == 1280
    with np.load(shared / "golden" / VALUES, allow_pickle=False) as recorded:
        features, q_values = recorded["features"], recorded["q_values"]
    found = agent.q_values(features)
    assert np.abs(found - q_values).max() < 1e-4
    assert (found.argmax(axis=1) == q_values.argmax(axis=1)).all()


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    status = keras_parity.main([*map(str, arguments)])
    return status, *capsys.readouterr()


def test_the_command_on_the_authors_network(shared):
    golden = shared / "golden"
    command = [sys.executable, "-m", "bench.paper.keras_parity", golden / AGENT, golden / VALUES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["vectors"] == 64
    assert report["largest_difference"] < 1e-4
    assert report["same_best_level"] is True


@pytest.fixture
def pair(tmp_path):
    """A file of Keras and the values that it gives."""
    layers, arrays = stack((5, 4, 3))
    states = np.random.default_rng(1).normal(size=(6, 5))
    values = expected(layers, arrays, states)
    np.savez(tmp_path / "values.npz", features=states, q_values=values)
    return write(tmp_path / "agent.h5", layers, arrays), tmp_path / "values.npz"


def test_the_command_reports_one_line(pair, capsys):
    status, output, errors = run(capsys, *pair)
    assert (status, errors, output.count("\n")) == (0, "", 1)
    report = json.loads(output)
    assert (report["vectors"], report["same_best_level"]) == (6, True)
    assert 0 <= report["largest_difference"] < 1e-4


def test_the_command_finds_a_difference(pair, capsys):
    with np.load(pair[1]) as file:
        arrays = dict(file)
    arrays["q_values"][2, 1] += 0.01
    np.savez(pair[1], **arrays)
    status, output, _ = run(capsys, *pair)
    assert status == 1
    assert json.loads(output)["largest_difference"] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("content", [None, b"", b"nothing\nof use\n", b"PK\x03\x04none"])
def test_the_command_refuses_bad_files_in_one_line(pair, broken, content, capsys):
    pair[broken].unlink() if content is None else pair[broken].write_bytes(content)
    status, output, errors = run(capsys, *pair)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("keras_parity: ")


def test_the_command_refuses_values_without_their_arrays(pair, capsys):
    np.savez(pair[1], features=np.zeros((2, 5)))
    status, output, errors = run(capsys, *pair)
    assert (status, output, errors.count("\n")) == (2, "", 1)
