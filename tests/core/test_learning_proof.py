"""Learning, held against PyTorch's autograd at full size, or against a recorded run of it.

`python tests/core/test_learning_proof.py` (with PyTorch) records `data/learning_proof.json` anew.
"""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import AUTHORS
from adacompress_ref.core.qnetwork import Adam, QNetwork

RECORD = Path(__file__).parents[1] / "data" / "learning_proof.json"
FULL = (1280, 64, 32, 32, 10)
SMALL = (6, 5, 4, 3)
RATE, BETA_1, BETA_2, EPSILON, PASSES = 0.002, 0.9, 0.999, 1e-7, 5

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# What both sides start from ----------------------------------------------------------------------


def problem(widths, batch, steps, seed=0):
    """Initial parameters, flat, and minibatches (states, actions, targets), in float64.

    Minibatches are drawn with replacement from 2,000 states and actions. Targets follow from them,
    so that there is something to learn, with noise of their own at each draw: a loss that fell to
    nothing would be rounding alone. `RandomState` gives the same numbers with every NumPy.
    """
    draw = np.random.RandomState(seed)
    parameters = []
    for inputs, outputs in pairwise(widths):
        limit = math.sqrt(6 / (inputs + outputs))
        parameters += [draw.uniform(-limit, limit, inputs * outputs), np.zeros(outputs)]
    hidden = draw.uniform(-1, 1, (2000, 5))  # few causes behind many features, as in photographs
    states = np.maximum(hidden @ draw.uniform(-1, 1, (5, widths[0])), 0)
    values = np.tanh(hidden @ draw.uniform(-1, 1, (5, widths[-1])))
    actions = draw.randint(0, widths[-1], 2000)
    batches = []
    for _ in range(steps):
        rows = draw.randint(0, 2000, batch)
        targets = values[rows, actions[rows]] + draw.uniform(-0.6, 0.6, batch)
        batches.append((states[rows], actions[rows], targets))
    return np.concatenate(parameters), batches


def by_numpy(widths, start, batches, hold, dtype):
    """Parameters and losses after the project's own learning steps."""
    config = AUTHORS.replace(
        hidden=widths[1:-1], encodings=AUTHORS.encodings[: widths[-1]], hold_other_outputs=hold
    )
    assert (config.learning_rate, config.beta_1, config.beta_2) == (RATE, BETA_1, BETA_2)
    assert (config.adam_epsilon, config.gradient_passes) == (EPSILON, PASSES)
    agent = DQNAgent(config, widths[0], np.random.default_rng(0))
    agent.network = QNetwork(widths, agent.rng, dtype)
    agent.network.parameters[:] = start
    agent.optimiser = Adam(agent.network.parameters, config)
    losses = [
        agent.fit(states.astype(dtype), actions, targets.astype(dtype))
        for states, actions, targets in batches
    ]
    assert agent.network.parameters.dtype == dtype
    assert agent.optimiser.steps == PASSES * len(batches)
    return agent.network.parameters, losses


def by_torch(torch, widths, start, batches, hold, dtype):
    """The same by autograd, with Adam in Keras's form; nothing of the project in it."""
    kind = {np.float64: torch.float64, np.float32: torch.float32}[dtype]
    tensors, place = [], 0
    for inputs, outputs in pairwise(widths):
        for shape in ((inputs, outputs), (outputs,)):
            part = start[place : place + math.prod(shape)].reshape(shape)
            tensors.append(torch.tensor(part, dtype=kind, requires_grad=True))
            place += math.prod(shape)
    means = [torch.zeros_like(tensor) for tensor in tensors]
    variances = [torch.zeros_like(tensor) for tensor in tensors]

    def forward(output):
        for index in range(0, len(tensors), 2):
            output = output @ tensors[index] + tensors[index + 1]
            output = torch.relu(output) if index + 2 < len(tensors) else output
        return output

    losses, count = [], 0
    for states, actions, targets in batches:
        seen, wanted = torch.tensor(states, dtype=kind), torch.tensor(targets, dtype=kind)
        chosen = torch.tensor(actions)[:, None]
        held = forward(seen).detach().scatter(1, chosen, wanted[:, None])
        for gradient_pass in range(PASSES):
            q_values = forward(seen)
            if hold:
                loss = torch.nn.functional.mse_loss(q_values, held)
            else:
                loss = torch.nn.functional.mse_loss(q_values.gather(1, chosen)[:, 0], wanted)
            if gradient_pass == 0:
                losses.append(loss.item())
            gradients = torch.autograd.grad(loss, tensors)
            count += 1
            rate = RATE * math.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
            with torch.no_grad():
                for tensor, gradient, mean, variance in zip(
                    tensors, gradients, means, variances, strict=True
                ):
                    mean.mul_(BETA_1).add_(gradient, alpha=1 - BETA_1)
                    variance.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
                    tensor.sub_(rate * mean / (variance.sqrt() + EPSILON))
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors]), losses


def gap(losses, expected):
    """Mean relative difference of two loss curves."""
    return float(np.mean(np.abs(np.array(losses) / np.array(expected) - 1)))


# Against PyTorch ---------------------------------------------------------------------------------


@pytest.fixture
def torch():
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: its recorded run stands in for it"
    )
    torch.set_num_threads(1)
    return torch


@pytest.mark.parametrize("hold", [True, False])
def test_twenty_steps_at_full_size_in_float64(torch, hold):
    start, batches = problem(FULL, batch=256, steps=20)
    ours, our_losses = by_numpy(FULL, start, batches, hold, np.float64)
    theirs, their_losses = by_torch(torch, FULL, start, batches, hold, np.float64)
    assert np.abs(ours - theirs).max() < 1e-6
    assert our_losses == pytest.approx(their_losses, rel=1e-6)
    assert np.abs(ours - start).max() > 0.05  # it has gone somewhere


@pytest.mark.parametrize("hold", [True, False])
def test_the_loss_curve_of_200_steps_at_full_size_in_float32(torch, hold):
    start, batches = problem(FULL, batch=256, steps=200)
    ours = by_numpy(FULL, start, batches, hold, np.float32)[1]
    theirs = by_torch(torch, FULL, start, batches, hold, np.float32)[1]
    assert gap(ours, theirs) < 0.05
    assert np.mean(ours[-50:]) < ours[0] / 2  # it learns


# Against the record ------------------------------------------------------------------------------


def record(torch):
    """What `data/learning_proof.json` holds: a small network, as it must stay small."""
    proof = {
        "about": (
            "Learning steps of PyTorch's autograd with Adam in Keras's form, 5 passes each; "
            "written by python tests/core/test_learning_proof.py. Keys of `runs` say whether the "
            "other outputs are held. Parameters layer by layer, weights before biases."
        ),
        "torch": torch.__version__,
        "widths": SMALL,
        "batch": 32,
        "float64_steps": 20,
        "float32_steps": 200,
        "runs": {},
    }
    for hold in (True, False):
        start, batches = problem(SMALL, 32, 20)
        parameters = by_torch(torch, SMALL, start, batches, hold, np.float64)[0]
        start, batches = problem(SMALL, 32, 200)
        losses = by_torch(torch, SMALL, start, batches, hold, np.float32)[1]
        proof["runs"][json.dumps(hold)] = {
            "parameters": [round(float(value), 12) for value in parameters],
            "losses": [round(loss, 6) for loss in losses],
        }
    return proof


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORD.read_text("utf-8"))


@pytest.mark.parametrize("hold", [True, False])
def test_twenty_steps_end_where_the_recorded_run_did(recorded, hold):
    run = recorded["runs"][json.dumps(hold)]
    start, batches = problem(SMALL, recorded["batch"], recorded["float64_steps"])
    parameters, _ = by_numpy(SMALL, start, batches, hold, np.float64)
    assert len(batches) == 20
    assert np.abs(parameters - run["parameters"]).max() < 1e-6
    assert np.abs(start - run["parameters"]).max() > 0.05


@pytest.mark.parametrize("hold", [True, False])
def test_the_loss_curve_is_the_recorded_one(recorded, hold):
    run = recorded["runs"][json.dumps(hold)]
    start, batches = problem(SMALL, recorded["batch"], recorded["float32_steps"])
    losses = by_numpy(SMALL, start, batches, hold, np.float32)[1]
    assert len(losses) == len(run["losses"]) == 200
    assert gap(losses, run["losses"]) < 0.05
    assert np.mean(losses[-50:]) < losses[0] / 2


def test_the_two_recorded_runs_differ(recorded):
    held, free = (recorded["runs"][key]["parameters"] for key in ("true", "false"))
    assert np.abs(np.subtract(held, free)).max() > 0.01


def test_the_record_is_what_pytorch_gives_today(recorded, torch):
    today = record(torch)
    for key, run in recorded["runs"].items():
        assert run["parameters"] == pytest.approx(today["runs"][key]["parameters"], abs=1e-9)
        assert gap(run["losses"], today["runs"][key]["losses"]) < 0.01


if __name__ == "__main__":
    import torch

    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record(torch), indent=1).replace("\n    ", " ") + "\n", "utf-8")
