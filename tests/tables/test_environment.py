"""The environment: five values a step, passes without gaps, live equal to recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.agents import monitor_of, new_agent, preset, presets, study, view_of
from adacompress_ref.core.config import PAPER
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.core.training import train
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import parse_all
from adacompress_ref.imaging.extractor import Extractor
from adacompress_ref.running.labelling import Labelling
from adacompress_ref.running.live import LiveImage
from adacompress_ref.services import open_service
from adacompress_ref.storage.snapshot import pack
from adacompress_ref.survival.config import LADDER, TUNED
from adacompress_ref.tables.environment import Environment, RecordedImage, split
from adacompress_ref.tables.table import Table

TWO = PAPER.replace(encodings=PAPER.encodings[:2])


class FakeImage:
    """Action 0 sends 20 bytes and keeps one label of two, action 1 sends 50 and keeps both."""

    def __init__(self, number, labelled=True):
        self.state = np.full(3, number, np.float32)
        self.labelled = labelled

    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None

    def one(self, action):
        if not self.labelled:
            return Upload(100, [])
        names = {0: "cat", 1: "dog cat", None: "cat dog"}[action].split()
        return Upload({0: 20, 1: 50, None: 100}[action], [Label(name, 0.5) for name in names])


def environment(count, seed=0, **options):
    images = [FakeImage(number, **options) for number in range(count)]
    return Environment(images, TWO, np.random.default_rng(seed))


def visited(env, steps):
    """Numbers of the images that `steps` steps show, the first one included."""
    states = [env.reset()[0], *(env.step(0)[0] for _ in range(steps))]
    return [int(state[0]) for state in states]


def test_five_values():
    env = environment(3)
    state, info = env.reset()
    assert (state.shape, state.dtype, info) == ((3,), np.float32, {})
    state, reward, terminated, truncated, info = env.step(0)
    assert (state.shape, terminated, truncated) == ((3,), False, False)
    assert reward == pytest.approx(0.5 - 0.2)
    assert info == {"accuracy": 0.5, "agreement": 1.0, "size_ratio": 0.2}
    assert env.step(np.int64(1))[1] == pytest.approx(1 - 0.5)  # as `predict` returns an action


def test_alpha_and_beta_reach_the_reward():
    env = Environment([FakeImage(0)], TWO.replace(alpha=2.0, beta=0.25), np.random.default_rng(0))
    env.reset()
    assert env.step(1)[1] == pytest.approx(2 - 0.5 + 0.25)


@given(st.integers(1, 9), st.integers(0, 99))
def test_each_pass_is_a_permutation(count, seed):
    order = visited(environment(count, seed), 3 * count - 1)
    for start in range(0, 3 * count, count):
        assert sorted(order[start : start + count]) == list(range(count))


def test_seed_and_reset():
    env = environment(9)
    first = [int(env.reset(seed=5)[0][0]), *(int(env.step(0)[0][0]) for _ in range(12))]
    again = [int(env.reset(seed=5)[0][0]), *(int(env.step(0)[0][0]) for _ in range(12))]
    other = [int(env.reset(seed=6)[0][0]), *(int(env.step(0)[0][0]) for _ in range(12))]
    assert first == again != other


def test_reset_in_the_middle_begins_a_whole_pass():
    env = environment(5)
    visited(env, 2)
    assert sorted(visited(env, 4)) == [0, 1, 2, 3, 4]


def test_without_labels_the_reward_is_zero():
    env = environment(1, labelled=False)
    env.reset()
    _, reward, *_, info = env.step(0)
    assert reward == 0
    assert info == {"accuracy": None, "agreement": None, "size_ratio": 1.0}


def test_no_images():
    with pytest.raises(ValueError, match="at least one image"):
        Environment([], TWO, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["paper", "authors"])
def test_live_equals_recorded(photos, photo_table, name):
    table, view = Table.load(photo_table), view_of(preset(name))
    extractor, service = Extractor(threads=1), open_service("squeezenet", 1)
    for row in (0, 3, 5):
        photo = images.read(photos / table.images[row])
        live = LiveImage(photo, view, extractor, service)
        recorded = RecordedImage(table, row, view)
        np.testing.assert_allclose(live.state, recorded.state, rtol=1e-4, atol=1e-4)
        pairs = [
            pair
            for action in (0, 4, 8)
            for pair in zip(live.upload(action, True), recorded.upload(action, True), strict=True)
        ]
        for one, other in pairs:
            assert one.size == other.size
            assert [label.name for label in one.labels] == [label.name for label in other.labels]
            np.testing.assert_allclose(
                [label.score for label in one.labels],
                [label.score for label in other.labels],
                rtol=1e-3,
            )


@pytest.fixture(scope="module")
def ladder_table(photos, tmp_path_factory):
    """Three of these photographs at the rungs of `ladder`."""
    rungs = parse_all(LADDER.encodings)
    work = Labelling(photos, "squeezenet", rungs, tmp_path_factory.mktemp("t") / "ladder.npz")
    work.left = ["chelsea.jpg", "clock.jpg", "microaneurysms.jpg"]
    work.run(None, lambda name: None)
    return work.finish()


@pytest.mark.parametrize("name", ["tuned", "ladder"])
def test_live_equals_recorded_in_presets_of_drift(photos, photo_table, ladder_table, name):
    view = view_of(preset(name))
    table = ladder_table if name == "ladder" else Table.load(photo_table).only(view.encodings)
    extractor, service = Extractor(threads=1), open_service("squeezenet", 1)
    for image in ("chelsea.jpg", "clock.jpg"):
        (row,) = table.indices([image])
        live = LiveImage(images.read(photos / image), view, extractor, service)
        recorded = RecordedImage(table, row, view)
        assert live.state.shape == recorded.state.shape
        assert np.isfinite(recorded.state).all()  # all are open there, for training
        usable = np.isfinite(live.state[:, -1])
        closed = [e.format == "jpeg" and e.short_side is not None for e in view.encodings]
        assert usable.tolist() == [not each for each in closed]
        ours, theirs = live.state[usable], recorded.state[usable]
        known = [*range(7), *range(8, ours.shape[1] - 3)]
        np.testing.assert_allclose(ours[:, known], theirs[:, known], rtol=1e-3, atol=1e-3)
        # sizes are estimated: ds, the reference's bytes and the bytes per pixel
        np.testing.assert_allclose(ours[:, -1], theirs[:, -1], atol=0.06, rtol=0.1)
        np.testing.assert_allclose(ours, theirs, rtol=0.1, atol=0.3 if name == "ladder" else 0.1)
        for action in np.flatnonzero(usable):
            assert live.upload(action, False)[0].size == recorded.upload(action, False)[0].size


def test_recorded_too(make_table):
    encodings = ("jpeg-q5", "jpeg-q25")
    table = make_table([[("dog",), ("cat",), ("cow",)]], [[120, 30, 100]], encodings)
    image = RecordedImage(table, 0, view_of(TUNED.replace(encodings=encodings)))
    assert image.state[:, -1].tolist() == [1, np.float32(0.3)]
    assert image.upload(0, True) == (Upload(100, [Label("cow", 0.5)]),) * 2
    assert image.upload(1, False) == (Upload(30, [Label("cat", 0.5)]), None)
    paper = RecordedImage(table, 0, view_of(PAPER.replace(encodings=encodings)))
    assert paper.upload(0, False)[0] == Upload(120, [Label("dog", 0.5)])


# Algorithm 1 over a table ------------------------------------------------------------------------


@pytest.fixture
def recorded(make_table):
    """A function: a small config of a preset, and five recorded images, the last without labels."""
    encodings = ("jpeg-q5", "jpeg-q25")
    labels = [[("cat",), ("cat",), ("cat",)], [("dog",), ("cat",), ("cat",)]] * 2 + [[()] * 3]
    table = make_table(labels, [[10, 50, 100]] * 5, encodings)

    def make(name, **changes):
        config = preset(name).replace(encodings=encodings, training_steps=60, **changes)
        return config, [RecordedImage(table, row, view_of(config)) for row in range(5)]

    return make


@pytest.mark.parametrize("name", presets())
def test_training_is_the_untrained_system_over_recorded_images(recorded, name, monkeypatch):
    config, images = recorded(name)
    agent, other = (new_agent(config, np.random.default_rng(4)) for _ in range(2))
    monitor, steps = monitor_of(agent), []
    monkeypatch.setattr(monitor, "may_return", None)  # not asked
    train(agent, monitor, images, steps.append)
    assert len(steps) == config.training_steps

    system = Controller(other, monitor_of(other), trained=False, early=False)
    by_hand = []
    while system.initial:
        for place in other.rng.permutation(len(images)):
            if system.initial:
                by_hand.append(system.step(images[place]))
    assert [repr(step) for step in by_hand if step.accuracy is not None] == list(map(repr, steps))
    assert len(by_hand) > len(steps)  # those without labels were passed over
    assert (agent.epsilon, agent.steps) == (0, 0)
    (fields, arrays), (others, other_arrays) = pack(agent), pack(other)
    assert fields == others
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[key], key)


@pytest.mark.parametrize("name", presets())
def test_to_study_is_algorithm_1_in_the_paper_and_all_uploads_at_once_in_ours(recorded, name):
    config, images = recorded(name)
    agent, other, steps = *(new_agent(config, np.random.default_rng(4)) for _ in range(2)), []
    study(agent, [images[:3], images[3:]], steps.append)
    if name in ("paper", "authors"):
        assert len(steps) == config.training_steps
        train(other, monitor_of(other), images)
    else:
        assert steps == []
        other.study([images[:3], images[3:]])
        survival = agent.survival(np.stack([image.state for image in images[:2]]))
        assert survival[0, 0] > survival[1, 0]  # cat was kept, dog was not
    assert agent.epsilon == 0
    (_, arrays), (_, other_arrays) = pack(agent), pack(other)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[key], key)
    with pytest.raises(ValueError, match="no label for any image: nothing to learn from"):
        study(new_agent(config, np.random.default_rng(4)), [images[4:]])


def test_what_is_learned_from_a_table(recorded):
    config, images = recorded("paper", gamma=0, learning_starts=20, hidden=(8,), learning_rate=0.02)
    config = config.replace(training_steps=300)
    agent = new_agent(config, np.random.default_rng(0))
    train(agent, monitor_of(agent), images)
    actions, _ = agent.predict(np.stack([image.state for image in images[:4]]))
    assert actions.tolist() == [0, 1, 0, 1]


# Split -------------------------------------------------------------------------------------------


@given(st.integers(2, 300), st.floats(0, 1), st.integers(0, 99))
def test_split_is_disjoint_and_whole_with_one_each(count, share, seed):
    train_rows, test_rows = split(count, share, np.random.default_rng(seed))
    assert sorted([*train_rows, *test_rows]) == list(range(count))
    assert len(train_rows) >= 1
    assert len(test_rows) >= 1
    assert abs(len(test_rows) - share * count) <= 1


def test_split_follows_the_generator():
    splits = [split(50, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    assert len(splits[0]) == 10


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_to_split(count):
    with pytest.raises(ValueError, match="at least two"):
        split(count, 0.2, np.random.default_rng(0))


def test_a_photograph_and_its_copy_by_night_are_in_one_part():
    from types import SimpleNamespace

    from adacompress_ref.cli.train import _split

    names = [f"{n}.jpg" for n in range(20)] + [f"{n}.png" for n in range(0, 20, 2)]
    arguments = SimpleNamespace(test_images=None, test_share=0.3)
    trained, tested = _split(arguments, names, np.random.default_rng(0))
    assert sorted([*trained, *tested]) == list(range(30))
    parts = [{names[place].split(".")[0] for place in part} for part in (trained, tested)]
    assert parts[0].isdisjoint(parts[1]) and len(parts[1]) == 6
