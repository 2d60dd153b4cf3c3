"""The network by hand, by finite differences, and against PyTorch."""

import math

import numpy as np
import pytest

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import AUTHORS, PAPER
from adacompress_ref.core.qnetwork import Adam, QNetwork

ADAM = PAPER.replace(learning_rate=0.002, beta_1=0.9, beta_2=0.999, adam_epsilon=1e-7)


def by_hand():
    """2 inputs, 2 hidden, 1 output."""
    network = QNetwork((2, 2, 1), np.random.default_rng(0), np.float64)
    network.weights[0][:] = [[1, -1], [2, 1]]
    network.biases[0][:] = [0, 1]
    network.weights[1][:] = [[2], [3]]
    network.biases[1][:] = [-1]
    return network


STATES = np.array([[1.0, 1.0], [-1.0, 0.0]])


def test_forward_by_hand():
    states, hidden, q_values = by_hand().forward(STATES)
    assert states is STATES
    # 1*1+1*2+0 = 3, 1*-1+1*1+1 = 1; -1*1+0 = -1 -> 0, -1*-1+1 = 2
    assert hidden.tolist() == [[3, 1], [0, 2]]
    # 3*2+1*3-1 = 8; 0*2+2*3-1 = 5
    assert q_values.tolist() == [[8], [5]]
    assert by_hand().q_values(STATES).tolist() == [[8], [5]]


def test_backward_by_hand():
    network = by_hand()
    gradient = network.backward(network.forward(STATES), np.ones((2, 1)))
    # hidden deltas [2, 3] and, where the first unit is off, [0, 3]
    first = [2 * 1 + 0 * -1, 3 * 1 + 3 * -1, 2 * 1 + 0 * 0, 3 * 1 + 3 * 0]
    assert gradient.tolist() == [*first, 2, 6, 3, 3, 2]


def test_input_gradient_by_hand():
    # [2, 3] through the first layer: 2*1 + 3*-1 = -1, 2*2 + 3*1 = 7; with the first unit off: -3, 3
    assert by_hand().input_gradient(STATES[0], 0).tolist() == [-1, 7]
    assert by_hand().input_gradient(STATES[1], 0).tolist() == [-3, 3]


def test_parameters_are_one_array_and_the_layers_are_views_of_it():
    network = by_hand()
    assert network.parameters.tolist() == [1, -1, 2, 1, 0, 1, 2, 3, -1]
    for view in (*network.weights, *network.biases):
        assert np.shares_memory(view, network.parameters)
    network.parameters += 1
    assert network.weights[0].tolist() == [[2, 0], [3, 2]]
    assert network.biases[1].tolist() == [0]


def test_the_authors_network_has_85450_parameters():
    # 1280*64+64 + 64*32+32 + 32*32+32 + 32*10+10
    network = QNetwork((1280, 64, 32, 32, 10), np.random.default_rng(0))
    assert network.parameters.size == 85_450


def test_glorot_uniform_weights_and_zero_biases(rng):
    network = QNetwork((200, 100, 50), rng)
    for weight, bias in zip(network.weights, network.biases, strict=True):
        limit = math.sqrt(6 / sum(weight.shape))
        assert np.abs(weight).max() <= np.float32(limit)
        assert np.abs(weight).max() > 0.99 * limit
        # a uniform distribution on [-limit, limit] has variance limit^2 / 3
        assert weight.var() == pytest.approx(limit**2 / 3, rel=0.05)
        assert not bias.any()


def test_float32_is_kept(rng):
    network = QNetwork((3, 4, 2), rng)
    assert network.q_values(np.ones((4, 3), np.float32)).dtype == np.float32


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def network(rng):
    network = QNetwork((5, 7, 6, 3), rng, np.float64)
    network.parameters += rng.normal(0, 0.1, network.parameters.size)  # biases too
    return network


def test_parameter_gradients_by_central_differences(network, rng):
    states, weight = rng.normal(size=(8, 5)), rng.normal(size=(8, 3))
    computed = network.backward(network.forward(states), weight)
    step = 1e-6
    for index in range(network.parameters.size):
        sides = []
        for sign in (1, -1):
            network.parameters[index] += sign * step
            sides.append((network.q_values(states) * weight).sum())
            network.parameters[index] -= sign * step
        assert computed[index] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-7)


def test_input_gradients_by_central_differences(network, rng):
    step = 1e-6
    for state in rng.normal(size=(5, 5)):
        for action in range(3):
            computed = network.input_gradient(state, action)
            for index in range(5):
                shift = step * np.eye(5)[index]
                up, down = network.q_values(np.stack([state + shift, state - shift]))[:, action]
                assert computed[index] == pytest.approx((up - down) / (2 * step), abs=1e-7)


def test_backward_leaves_its_arguments(network, rng):
    layers, weight = network.forward(rng.normal(size=(4, 5))), rng.normal(size=(4, 3))
    copies, copy = [layer.copy() for layer in layers], weight.copy()
    network.backward(layers, weight)
    assert all(np.array_equal(a, b) for a, b in zip(layers, copies, strict=True))
    assert np.array_equal(weight, copy)


def test_the_input_gradient_is_no_view_of_the_weights(rng):
    network = QNetwork((2, 3), rng)  # no hidden layer
    before = network.parameters.copy()
    network.input_gradient(np.ones(2, np.float32), 1)[:] = 9
    np.testing.assert_array_equal(network.parameters, before)


def test_adam_by_hand():
    parameters = np.zeros(1)
    by_hand = ADAM.replace(learning_rate=0.3, beta_1=0.5, beta_2=0.75, adam_epsilon=1.0)
    adam = Adam(parameters, by_hand)
    adam.step(parameters, np.array([1.0]))
    # m = 0.5, v = 0.25; sqrt(1 - 0.75) / (1 - 0.5) = 1; 0.3 * 1 * 0.5 / (0.5 + 1) = 0.1
    assert parameters[0] == pytest.approx(-0.1)
    adam.step(parameters, np.array([-2.0]))
    # m = 0.25 - 1 = -0.75, v = 0.1875 + 1 = 1.1875; sqrt(1 - 0.5625) / (1 - 0.25)
    assert (adam.mean[0], adam.variance[0], adam.steps) == (-0.75, 1.1875, 2)
    second = 0.3 * math.sqrt(0.4375) / 0.75 * -0.75 / (math.sqrt(1.1875) + 1)
    assert parameters[0] == pytest.approx(-0.1 - second)


def test_adam_moves_by_the_learning_rate_at_first():
    parameters = np.zeros(3)
    Adam(parameters, ADAM).step(parameters, np.array([5.0, -0.01, 0.0]))
    assert parameters == pytest.approx([-0.002, 0.002, 0], rel=1e-3)


# Outside judges ----------------------------------------------------------------------------------


@pytest.fixture
def torch():
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: the outside judge of gradients is skipped"
    )
    torch.set_num_threads(1)  # threads cost more than these small products
    return torch


def torch_layers(torch, network):
    """The same parameters as torch tensors that want gradients, in the order of `parameters`."""
    tensors = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        for array in (weight, bias):
            tensors.append(torch.tensor(array.copy(), dtype=torch.float64, requires_grad=True))
    return tensors


def torch_forward(torch, tensors, states):
    output = torch.as_tensor(states, dtype=torch.float64)
    for index in range(0, len(tensors), 2):
        output = output @ tensors[index] + tensors[index + 1]
        if index + 2 < len(tensors):
            output = torch.relu(output)
    return output


def flat(tensors):
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def test_forward_and_gradients_against_torch(torch, network, rng):
    states, targets = rng.normal(size=(16, 5)), rng.normal(size=(16, 3))
    tensors = torch_layers(torch, network)
    q_values = torch_forward(torch, tensors, states)
    layers = network.forward(states)
    assert layers[-1] == pytest.approx(q_values.detach().numpy(), abs=1e-12)
    torch.nn.functional.mse_loss(q_values, torch.tensor(targets)).backward()
    errors = layers[-1] - targets
    computed = network.backward(layers, errors * (2 / errors.size))
    assert computed == pytest.approx(flat([t.grad for t in tensors]), abs=1e-12)


def test_input_gradient_against_torch(torch, network, rng):
    tensors = torch_layers(torch, network)
    for action in range(3):
        state = torch.tensor(rng.normal(size=(1, 5)), requires_grad=True)
        torch_forward(torch, tensors, state)[0, action].backward()
        computed = network.input_gradient(state.detach().numpy()[0], action)
        assert computed == pytest.approx(state.grad.numpy()[0], abs=1e-12)


def test_adam_against_torch_where_epsilon_does_not_matter(torch, rng):
    parameters = rng.normal(size=20)
    theirs = torch.tensor(parameters.copy(), requires_grad=True)
    judge = torch.optim.Adam([theirs], lr=0.002, betas=(0.9, 0.999), eps=1e-30)
    adam = Adam(parameters, ADAM.replace(adam_epsilon=1e-30))
    for _ in range(50):
        gradient = rng.normal(size=20)
        theirs.grad = torch.tensor(gradient)
        judge.step()
        adam.step(parameters, gradient)
    assert parameters == pytest.approx(theirs.detach().numpy(), abs=1e-12)


@pytest.mark.parametrize("hold", [True, False])
def test_twenty_learning_steps_against_torch(torch, hold, rng):
    """`fit` against the same written with autograd and Adam in the form that Keras has."""
    config = AUTHORS.replace(
        hidden=(12, 8), encodings=AUTHORS.encodings[:4], hold_other_outputs=hold
    )
    agent = DQNAgent(config, 6, rng)
    agent.network = QNetwork((6, 12, 8, 4), rng, np.float64)
    agent.optimiser = Adam(agent.network.parameters, ADAM)
    tensors = torch_layers(torch, agent.network)
    means = [torch.zeros_like(tensor) for tensor in tensors]
    variances = [torch.zeros_like(tensor) for tensor in tensors]
    start, count = flat(tensors), 0
    for _ in range(20):
        states, actions = rng.normal(size=(32, 6)), rng.integers(0, 4, 32)
        targets = rng.normal(size=32)
        first = agent.fit(states, actions, targets)
        rows, chosen, wanted = torch.arange(32), torch.tensor(actions), torch.tensor(targets)
        held = torch_forward(torch, tensors, states).detach()
        held[rows, chosen] = wanted
        for gradient_pass in range(5):
            q_values = torch_forward(torch, tensors, states)
            if hold:
                loss = ((q_values - held) ** 2).mean()
            else:
                loss = ((q_values[rows, chosen] - wanted) ** 2).mean()
            if gradient_pass == 0:
                assert first == pytest.approx(loss.item(), abs=1e-9)
            gradients = torch.autograd.grad(loss, tensors)
            count += 1
            rate = 0.002 * math.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            with torch.no_grad():
                for tensor, gradient, m, v in zip(
                    tensors, gradients, means, variances, strict=True
                ):
                    m.mul_(0.9).add_(gradient, alpha=0.1)
                    v.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                    tensor.sub_(rate * m / (v.sqrt() + 1e-7))
    assert np.abs(agent.network.parameters - flat(tensors)).max() < 1e-6
    assert np.abs(agent.network.parameters - start).max() > 0.05
    assert agent.optimiser.steps == count == 100
