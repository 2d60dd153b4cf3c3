"""Presets by name, agents on disk, and a kind of agent that is added without touching a file."""

import io
import json
import os
import zipfile
from dataclasses import dataclass
from unittest.mock import ANY

import numpy as np
import pytest

from adacompress_ref import agents
from adacompress_ref.agents import AgentError
from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import PAPER, BaseConfig, within
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.estimator import Estimator
from adacompress_ref.core.roles import Label, Measurement, Upload
from adacompress_ref.core.training import train
from adacompress_ref.imaging.encoding import parse_all
from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.running.state import StateFolder
from adacompress_ref.storage import snapshot
from adacompress_ref.storage.arrays import load_arrays
from adacompress_ref.survival.agent import SurvivalAgent
from adacompress_ref.survival.monitor import Surprise
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.evaluation import evaluate
from adacompress_ref.views.drift import DriftView
from adacompress_ref.views.features import FeatureView

# Presets -----------------------------------------------------------------------------------------


def test_what_plays_together_in_each_preset():
    rng = np.random.default_rng(0)
    assert agents.DEFAULT_PRESET == "tuned"
    assert set(agents.presets()) == {"paper", "authors", "tuned", "ladder"}
    for name, config in agents.presets().items():
        agent = agents.new_agent(config, rng, channels=6)
        view = agents.view_of(config, channels=6)
        ours = (DQNAgent, Estimator, FeatureView), (SurvivalAgent, Surprise, DriftView)
        expected = ours[name in ("tuned", "ladder")]
        assert (type(agent), type(agents.monitor_of(agent)), type(view)) == expected
        assert (config.preset, agent.inputs) == (name, view.inputs)
        assert [encoding.name for encoding in view.encodings] == list(config.encodings)


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'author'.*paper, authors, tuned, ladder$"):
        agents.preset("author")


@pytest.mark.parametrize("name", agents.presets())
@pytest.mark.parametrize("encoding", ["gif-q5", "jpeg-q0", "jpeg-q15\n5", ""])
def test_an_unknown_encoding_is_refused_by_the_fields_name(name, encoding):
    config = agents.preset(name).replace(encodings=("jpeg-q5", encoding))
    for use in (agents.view_of, lambda config: agents.new_agent(config, np.random.default_rng(0))):
        with pytest.raises(ValueError, match=r"^config field 'encodings': encoding ") as caught:
            use(config)
        assert "\n" not in str(caught.value)


# Files -------------------------------------------------------------------------------------------


def trained(name="paper", seed=3):
    """An agent of 6 channels that has learned from 30 measurements."""
    network = {"hidden": (8,), "batch_size": 8, "learn_every": 1, "learning_starts": 5}
    changes = network if name == "paper" else {"training_steps": 30}
    config = agents.preset(name).replace(encodings=PAPER.encodings[:3], **changes)
    agent = agents.new_agent(config, np.random.default_rng(seed), channels=6)
    agent.stamp = {"extractor": "abc", "size": 224}
    shape = (agent.inputs,) if name == "paper" else (3, agent.inputs)
    rng, nothing = np.random.default_rng(seed), Upload(0, ())
    for _ in range(30):
        here, action = rng.random(shape).astype(np.float32), int(rng.integers(3))
        agent.arrive(here)
        agent.observe(Measurement(here, action, nothing, nothing, *rng.random(2)))
        agent.training_step()
    if name == "tuned":
        agent.end_training(True)
    return agent


@pytest.fixture(params=["paper", "tuned"])
def name(request):
    return request.param


@pytest.fixture
def saved(tmp_path):
    agents.save(trained(), tmp_path / "agent.npz")
    return tmp_path / "agent.npz"


def same_bits(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def test_a_saved_agent_comes_back_bit_by_bit_and_learns_on_as_it_would(name, tmp_path):
    before = trained(name)
    if name == "tuned":
        before.alpha = 2.5
    agents.save(before, str(tmp_path / "agent.npz"))
    after = agents.load(tmp_path / "agent.npz", np.random.default_rng(7))
    assert type(after) is type(before)
    assert (after.config, after.stamp, after.inputs) == (before.config, before.stamp, before.inputs)
    assert (after.epsilon, after.steps, len(after.replay)) == (0, 0, 0)
    assert after.alpha == before.alpha
    if name == "tuned":
        assert same_bits(after.w, before.w) and same_bits(after.sigma, before.sigma)
        assert before.w.any()
        before.begin_training()
        here = np.random.default_rng(1).random((3, before.inputs)).astype(np.float32)
        nothing = Upload(0, ())
        for accuracy in (1.0, 0.0):
            for agent in (before, after):
                agent.observe(Measurement(here, 0, nothing, nothing, accuracy, 0.0))
            assert same_bits(after.u, before.u) and before.u.any()
        return
    assert after.optimiser.steps == before.optimiser.steps >= 25
    for weight in after.network.weights:
        assert np.shares_memory(weight, after.network.parameters)
    after.replay, after.rng = before.replay, np.random.default_rng(8)
    before.rng = np.random.default_rng(8)
    for _ in range(2):
        assert same_bits(after.network.parameters, before.network.parameters)
        assert same_bits(after.optimiser.mean, before.optimiser.mean)
        assert same_bits(after.optimiser.variance, before.optimiser.variance)
        assert before.learn() == after.learn()


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(name, tmp_path):
    for file, seed in (("one", 3), ("same", 3), ("other", 4)):
        agents.save(trained(name, seed), tmp_path / file)
    one, same, other = ((tmp_path / file).read_bytes() for file in ("one", "same", "other"))
    assert one == same != other


def test_there_is_no_pickle_in_the_file(saved):
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist()
        for member in archive.namelist():
            assert member.endswith(".npy")
            np.lib.format.read_array(io.BytesIO(archive.read(member)), allow_pickle=False)


def rewrite(path, **changes):
    """The same file with other values in its description, or with other arrays; None: without."""
    description, arrays = load_arrays(path)
    for key, value in changes.items():
        (arrays if "." in key else description)[key] = value
    arrays = {key: array for key, array in arrays.items() if array is not None}
    description = {key: value for key, value in description.items() if value is not None}
    np.savez(path, description=np.array(json.dumps(description)), **arrays)


def assert_refused(path, words="", why="not an agent that can be used ("):
    with pytest.raises(AgentError) as caught:
        agents.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {why}")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("kept", [0, 1, 10, 100, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, kept):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    assert_refused(saved)


def test_a_file_with_a_changed_byte_in_its_arrays_is_refused(saved):
    data = bytearray(saved.read_bytes())
    data[data.find(trained().network.parameters.tobytes()) + 8] ^= 255
    saved.write_bytes(data)
    assert_refused(saved)


@pytest.mark.parametrize(
    "content", [b"agent\nof\nmine\n", b"\x80\x04N.", b"PK\x03\x04" + b"x" * 99]
)
def test_another_kind_of_file_is_refused(saved, content):
    saved.write_bytes(content)
    assert_refused(saved)


def test_a_plain_array_a_missing_file_and_a_folder_are_refused(tmp_path):
    np.save(tmp_path / "agent.npy", np.zeros(3))
    assert_refused(tmp_path / "agent.npy")
    assert_refused(tmp_path / "none.npz", why="there is no such file")
    assert_refused(tmp_path)


def test_pickled_objects_are_refused(saved):
    rewrite(saved, **{"network.parameters": np.array([{"a": 1}], dtype=object)})
    assert_refused(saved)


@pytest.mark.parametrize("number", [1, 99])
def test_a_file_of_another_version_is_refused_with_a_way_on(saved, number):
    rewrite(saved, format=number)
    assert_refused(saved, f"another version wrote it, in format {number}; train it again")


def test_an_agent_with_settings_of_another_version_is_refused_with_a_way_on(saved):
    config = load_arrays(saved)[0]["config"]
    for changed in (config | {"own_drift": True}, dict(list(config.items())[1:])):
        rewrite(saved, config=changed)
        assert_refused(saved, "its settings are of another version; train one again from its table")


ARRAYS = ("network.parameters", "optimiser.mean", "optimiser.variance")


@pytest.mark.parametrize("key", ARRAYS)
@pytest.mark.parametrize(
    "damage", [lambda a: a[:5], lambda a: a * np.nan, lambda a: a + 1e9, lambda a: a.astype(int)]
)
def test_arrays_that_are_none_of_an_agent_are_refused(saved, key, damage):
    rewrite(saved, **{key: damage(load_arrays(saved)[1][key])})
    assert_refused(saved, key.split(".")[1])


@pytest.mark.parametrize("key", [*ARRAYS, "kind", "config", "inputs", "stamp", "learned", "format"])
def test_a_file_without_one_of_its_parts_is_refused(saved, key):
    rewrite(saved, **{key: None})
    assert_refused(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": 9},
        {"kind": "survival"},
        {"kind": "nobody's"},
        {"config": {"colour": "red"}},
        {"config": {"gamma": 1.5}},
        {"learned": []},
        {"learned": {"network": {}, "optimiser": {"steps": "9"}, "epsilon": 0.5, "steps": 3}},
    ],
    ids=str,
)
def test_a_file_with_another_description_is_refused(saved, change):
    rewrite(saved, **change)
    assert_refused(saved)


@pytest.mark.parametrize("text", ["half of {", "5", "[]", "{}", '{"format": 2, "config": []}'])
def test_a_file_with_no_description_is_refused(saved, text):
    np.savez(saved, **load_arrays(saved)[1], description=np.array(text))
    assert_refused(saved)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), 1e6, None, "1"])
def test_an_alpha_that_rewards_nothing_is_refused(tmp_path, alpha):
    agent = trained("tuned")
    agent.alpha = alpha
    agents.save(agent, tmp_path / "agent.npz")
    assert_refused(tmp_path / "agent.npz", "alpha")


@pytest.mark.parametrize("broken", ["numpy.savez", "os.fsync", "os.replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved, broken, monkeypatch):
    before = saved.read_bytes()

    def fail(*arguments, **named):
        if broken == "numpy.savez":
            arguments[0].write(b"half of it")
        names = sorted(os.listdir(saved.parent))
        assert names == [ANY, saved.name]
        assert names[0].endswith(".partial")
        raise OSError("no space left on the device")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="no space left"):
        agents.save(trained(seed=8), saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


# Another kind of agent ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ToyConfig(BaseConfig):
    preset: str = "toy"
    encodings: tuple[str, ...] = ("jpeg-q5", "jpeg-q75")
    boldness: float = within("[0, 1]", 0.5)


class ToyAgent:
    """A table of one number an action: the mean of its rewards. States are the image's width."""

    KEPT = ("sums", "counts", "epsilon", "steps", "rng")
    MEMORY = ("rng",)
    aim = None

    def __init__(self, config, inputs, rng):
        self.config, self.inputs, self.rng = config, inputs, rng
        self.sums, self.counts = np.zeros(len(config.encodings)), np.ones(len(config.encodings))
        self.epsilon, self.alpha, self.steps, self.stamp = 1.0, config.alpha, 0, {}

    def q_values(self, state):
        return np.broadcast_to(self.sums / self.counts, (*state.shape[:-1], len(self.sums)))

    def act(self, state):
        bold = self.rng.random() < self.epsilon * self.config.boldness
        return int(self.rng.integers(len(self.sums)) if bold else self.q_values(state).argmax())

    def observe(self, measurement):
        self.sums[measurement.action] += measurement.reward
        self.counts[measurement.action] += 1

    def arrive(self, state):
        pass

    def training_step(self):
        self.steps += 1

    def begin_training(self):
        self.epsilon = 1.0

    def end_training(self, initial):
        self.epsilon = 0.0

    @property
    def trained(self):
        return self.steps >= self.config.training_steps


class ToyMonitor:
    """Measures every other image, and is never surprised."""

    KEPT = ("mean_accuracy",)
    p_est, must_retrain = 0.5, False

    def __init__(self, agent):
        self.mean_accuracy = 1.0

    def see(self, state, action, compressed):
        pass

    def record(self, measurement):
        self.mean_accuracy = measurement.accuracy

    def estimated(self, measured):
        pass

    def may_return(self, initial):
        return False

    def begin_training(self):
        pass

    def end_training(self):
        pass


class ToyView:
    inputs, probe = 1, None
    own_tables = False

    def __init__(self, config, channels):
        self.encodings = parse_all(config.encodings)

    def of_photo(self, photo, payloads, extractor):
        return np.array([photo.picture.width], np.float32)

    def of_table(self, table, rows=slice(None), every=False):
        return np.asarray(table.context[rows][..., :1])

    def stamp(self, sha256):
        return {"sha256": sha256, "toy": True}

    def heat(self, agent, photo, state, action, extractor):
        return np.ones((1, 1))


class Service:
    name = "toy"

    def label(self, payload):
        return [Label("cat", 0.9)]


class Extractor:
    channels, sha256, threads = 1280, "sha of E", 1


def toy_study(agent, services, on_step):
    train(agent, ToyMonitor(agent), [image for images in services for image in images], on_step)


@pytest.fixture
def toy(monkeypatch):
    """The config of a kind of agent that one entry has added."""
    config = ToyConfig(training_steps=20)
    kind = agents.Kind(ToyConfig, ToyAgent, ToyMonitor, ToyView, toy_study, (config,))
    monkeypatch.setitem(agents.KINDS, "toy", kind)
    return config


def toy_trained(config, table):
    agent, view = agents.new_agent(config, np.random.default_rng(0)), agents.view_of(config)
    agent.stamp = {"extractor": view.stamp("sha of E"), "trained_on": []}
    images = [RecordedImage(table, row, view) for row in range(len(table.images))]
    agents.study(agent, [images])
    return agent


def test_another_kind_is_one_entry(toy, make_table, photos, tmp_path):
    table = make_table([[("cat",)] * 3] * 3, [[10, 100, 100]] * 3, toy.encodings)
    assert agents.preset("toy") == toy
    agent = toy_trained(toy, table)
    assert agent.counts.sum() == 2 + 20
    assert evaluate(table, agent)["preset"] == "toy"
    agents.save(agent, tmp_path / "agent.npz")
    loaded = agents.load(tmp_path / "agent.npz", np.random.default_rng(1))
    np.testing.assert_array_equal(loaded.sums, agent.sums)
    assert (type(loaded), loaded.config, loaded.stamp) == (ToyAgent, toy, agent.stamp)

    pilot = AdaCompress(loaded, Extractor())
    choice = pilot.choose(photos / "clock.jpg")
    assert (choice.encoding, choice.size_ratio < 1) == ("jpeg-q5", True)
    results = [pilot.upload(photos / "clock.jpg", Service()) for _ in range(12)]
    assert {result.state for result in results} == {"inference", "estimate"}
    assert {result.labels[0].name for result in results} == {"cat"}

    folder = StateFolder(tmp_path / "state", {}, lambda line: None)
    folder.save(pilot.controller)
    folder.close()
    again = StateFolder(tmp_path / "state", {}, lambda line: None)
    assert type(again.controller.monitor) is ToyMonitor
    before, after = snapshot.pack(pilot.controller), snapshot.pack(again.controller)
    again.close()
    assert before[0] == after[0]
    for key, array in before[1].items():
        np.testing.assert_array_equal(array, after[1][key])
    resumed = AdaCompress(again.controller.agent, Extractor(), trained=True)
    resumed.resume(again.controller)
    for _ in range(5):
        one, other = (each.upload(photos / "clock.jpg", Service()) for each in (pilot, resumed))
        assert repr(one.step) == repr(other.step)


def test_another_kind_has_its_own_ranges_and_an_untrained_start(toy):
    with pytest.raises(ValueError, match=r"'boldness': 2 must be in \[0, 1\]"):
        toy.replace(boldness=2)
    agent = agents.new_agent(toy, np.random.default_rng(0))
    system = Controller(agent, agents.monitor_of(agent), trained=False)
    assert (system.state, agent.inputs) == ("retrain", 1)
