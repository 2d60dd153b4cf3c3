"""Grad-CAM: its gradients against finite differences, PyTorch and numbers by hand."""

import numpy as np
import pytest

from adacompress_ref.core.qnetwork import QNetwork
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.imaging.extractor import Extractor, pool, tensor
from adacompress_ref.survival import drift
from adacompress_ref.survival.agent import SurvivalAgent
from adacompress_ref.survival.config import LADDER, TUNED
from adacompress_ref.views import drift as views_drift
from adacompress_ref.views.drift import DriftView
from adacompress_ref.views.heat import feature_gradient, map_gradient, signed

POOLINGS = ("global", "corner")


@pytest.fixture
def network():
    return QNetwork((6, 8, 5, 3), np.random.default_rng(0), np.float64)


@pytest.fixture
def feature_map():
    return np.random.default_rng(1).random((6, 7, 7))


def gradient_of(network, feature_map, action, pooling):
    """dQ/dmap."""
    by_feature = network.input_gradient(pool(feature_map[None], pooling)[0], action)
    return map_gradient(by_feature, feature_map, pooling)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("action", range(3))
def test_gradient_against_finite_differences(network, feature_map, pooling, action):
    def q_value(at):
        return network.q_values(pool(at[None], pooling))[0, action]

    expected = np.zeros_like(feature_map)
    for place in np.ndindex(feature_map.shape):
        step = np.zeros_like(feature_map)
        step[place] = 1e-5
        expected[place] = (q_value(feature_map + step) - q_value(feature_map - step)) / 2e-5
    found = gradient_of(network, feature_map, action, pooling)
    assert np.abs(expected).max() > 1e-4
    assert np.abs(found - expected).max() < 1e-9


def test_drift_gradient_against_finite_differences():
    """A sum of one row, with the payload's map moved cell by cell; all in the units of the row."""
    rng = np.random.default_rng(3)
    payload, image = rng.random((2, 24, 5, 5)) + 0.1  # [channels, rows, columns]
    payload[:6] *= 3
    weights = rng.normal(size=drift.row_length(5))
    itself, centre = image.mean(axis=(1, 2)), rng.random(24)  # these stay

    def row(at):
        pooled = at.mean(axis=(1, 2))  # [channels]
        context = drift.context((itself, pooled, centre), 800, 40, 40)
        return drift.rows(context, np.linspace(0.1, 1, 5), np.array(400))[1].astype(np.float64)

    pooled = payload.mean(axis=(1, 2))
    by_drift = drift.by_whole(weights, row(payload))
    found = map_gradient(feature_gradient(pooled, itself, by_drift), payload, "global")
    for place in [(0, 0, 0), (3, 2, 4), (5, 4, 1)]:
        step = np.zeros_like(payload)
        step[place] = 0.5  # rows are float32
        expected = weights @ (row(payload + step) - row(payload - step))
        assert abs(expected) > 1e-3
        assert found[place] == pytest.approx(expected, rel=0.02, abs=2e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_against_pytorch(network, feature_map, pooling):
    torch = pytest.importorskip("torch", reason="PyTorch, the judge of gradients, is not here")
    at = torch.tensor(feature_map, requires_grad=True)
    corner = torch.nn.functional.avg_pool2d(at, 4)[:, 0, 0]  # what the authors' code keeps
    values = at.mean(dim=(1, 2)) if pooling == "global" else corner
    for depth, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        values = values @ torch.tensor(weight) + torch.tensor(bias)
        values = values.relu() if depth < len(network.weights) - 1 else values
    values[1].backward()
    found = gradient_of(network, feature_map, 1, pooling)
    assert np.abs(found - at.grad.numpy()).max() < 1e-12
    # AC-9 by PyTorch: weights [6], heat [7, 7]
    expected = (at.grad.mean(dim=(1, 2))[:, None, None] * at.detach()).mean(dim=0)
    assert expected.max() > 0
    heat_found = signed(found, feature_map)
    assert np.allclose(heat_found, (expected / expected.abs().max()).numpy())


def test_a_cell_that_is_not_pooled_has_no_gradient(network, feature_map):
    gradient = gradient_of(network, feature_map, 0, "corner")
    assert np.all(gradient[:, :4, :4] != 0)
    assert not gradient[:, 4:].any()
    assert not gradient[:, :, 4:].any()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_heat_by_hand(pooling):
    # Q(s, 0) = 3 s0 - s1; channel 0 is hot in one cell, channel 1 in another
    network = QNetwork((2, 1), np.random.default_rng(0), np.float64)
    network.weights[0][:] = [[3], [-1]]
    feature_map = np.zeros((2, 7, 7))
    feature_map[0, 1, 2], feature_map[1, 6, 5] = 2, 3
    share = 1 / 49 if pooling == "global" else 1 / 16
    gradient = gradient_of(network, feature_map, 0, pooling)
    assert gradient[:, 0, 0].tolist() == pytest.approx([3 * share, -share])
    expected = np.zeros((7, 7))
    expected[1, 2], expected[6, 5] = 1, -0.5  # 3 * 2 = 6 is the maximum, -1 * 3 half of it
    assert np.allclose(signed(gradient, feature_map), expected)
    # Q(s, 0) = s0 - 3 s1: most of it is against, 1 * 2 is 2 / 9 of 3 * 3
    network.weights[0][:] = [[1], [-3]]
    expected[1, 2], expected[6, 5] = 2 / 9, -1
    gradient = gradient_of(network, feature_map, 0, pooling)
    assert np.allclose(signed(gradient, feature_map), expected)


@pytest.mark.parametrize("size", [1e-12, 1, 1e6])
def test_a_map_of_no_support_is_as_dark_as_others(size):
    gradient, feature_map = np.full((2, 2, 2), -size), np.ones((2, 2, 2))
    feature_map[:, 0, 0] = 0.5
    assert signed(gradient, feature_map).tolist() == [[-0.5, -1], [-1, -1]]
    assert signed(0 * gradient, feature_map).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("config", [TUNED, LADDER])
def test_survival_gradient_against_finite_differences(config):
    """What heat asks of an agent whose state is drift: dP/drow."""
    rng = np.random.default_rng(5)
    inputs = drift.row_length(len(config.encodings))
    agent = SurvivalAgent(config, inputs, rng)
    agent.w[:] = rng.normal(size=agent.w.shape) / 8
    row = rng.normal(size=inputs).astype(np.float32)
    row[-3 - len(config.encodings) : -3] = 0  # of the first action
    row[-3 - len(config.encodings)] = 1
    found = agent.survival_gradient(row)
    steps = 4e-3 * np.eye(inputs, dtype=np.float32)
    expected = (agent.survival(row + steps) - agent.survival(row - steps)) / 8e-3
    assert found.shape == (inputs,) and np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_what_is_at_its_least_has_no_gradient():
    """A payload equal to the image: a step of 1e-7 moves no logarithm that is clamped."""
    image = np.random.default_rng(4).random((24, 5, 5)) + 0.1
    weights = np.random.default_rng(6).normal(size=drift.row_length(5))

    def row(at):
        pooled, itself = at.mean(axis=(1, 2)), image.mean(axis=(1, 2))
        context = drift.context((itself, pooled, itself), 800, 40, 40)
        return drift.rows(context, np.full(5, 0.5), np.array(400))[1]

    step = np.zeros_like(image)
    step[3, 2, 2] = 1e-7
    np.testing.assert_array_equal(row(image), row(image + step))
    assert drift.by_whole(weights, row(image)).tolist() == [0, 0]
    longer = 1.5 * image  # the direction is the same, the distance is not
    assert (drift.by_whole(weights, row(longer)) != 0).tolist() == [False, True]
    assert (drift.by_whole(weights, row(image[::-1])) != 0).all()


@pytest.mark.parametrize("config", [TUNED, LADDER])
def test_heat_of_drift_is_that_of_the_probe(photos, config, monkeypatch):
    """The features of the probe and of the image, as the state sees them, in this order."""
    handed = []

    def note(*arguments):
        handed.append((*arguments, feature_gradient(*arguments)))
        return handed[-1][-1]

    monkeypatch.setattr(views_drift, "feature_gradient", note)
    view, extractor, rng = DriftView(config), Extractor(threads=1), np.random.default_rng(0)

    class Agent:
        """All that heat needs of one."""

        def survival_gradient(self, row):
            assert row.shape == (view.inputs,)
            return np.linspace(0.5, 1, view.inputs)

    photo = images.read(photos / "coffee.jpg")
    state = rng.random((len(view.encodings), view.inputs), np.float32)
    action = config.encodings.index("jpeg-q75")
    found = view.heat(Agent(), photo, state, action, extractor)
    ((of_payload, of_image, by_drift, by_feature),) = handed
    sent = codec.decode(codec.encode(photo.picture, Encoding("jpeg", None, 5)), 160)
    for seen, at in ((sent, of_payload), (codec.reduced(photo.picture, 160), of_image)):
        feature_map = extractor.run(tensor(seen, "bilinear", 160)[None])
        np.testing.assert_allclose(at, pool(feature_map, "global")[0], rtol=1e-3, atol=1e-3)
    assert np.abs(by_drift).max() > 0
    sent_map = extractor.run(tensor(sent, "bilinear", 160)[None])[0]
    expected = signed(map_gradient(by_feature, sent_map, "global"), sent_map)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert np.abs(found).max() == pytest.approx(1)
