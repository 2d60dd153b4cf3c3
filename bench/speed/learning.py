"""What learning costs, against PyTorch, Keras and Stable-Baselines3.

`python -m bench.speed.learning [--threads 2] [--repetitions 200] [--json]`

A learning step is AC-5 and AC-6 of preset `authors`: 256 transitions drawn from a full memory of
2,000, targets held, five passes with Adam. Peers do the same arithmetic on the same numbers; that
of Stable-Baselines3 is five of its own gradient steps. States are random: time does not
depend on them. What is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np

from adacompress_ref.agents import view_of
from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import AUTHORS as CONFIG
from adacompress_ref.imaging.extractor import CHANNELS
from adacompress_ref.survival import drift
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.table import Row as Recorded
from adacompress_ref.tables.table import Source, Table

from ..command import parser
from ..tables import trained_agent
from .peers import keras_network, pytorch_network
from .ratios import Row, duration, in_turns, missing, ratio, show

IMAGES = 560  # of the recorded training


def full_agent(rng: np.random.Generator) -> DQNAgent:
    """An agent with a full memory."""
    agent = DQNAgent(CONFIG, CHANNELS, rng)
    for _ in range(CONFIG.replay_capacity):
        action = int(rng.integers(len(CONFIG.encodings)))
        agent.replay.add(rng.random(CHANNELS, np.float32), action, float(rng.random()), None)
    return agent


def pytorch_step(agent: DQNAgent, threads: int) -> Callable[[], float]:
    """The same learning step in PyTorch, eager."""
    import torch

    network = pytorch_network(agent, threads)
    optimiser = torch.optim.Adam(
        network.parameters(), lr=CONFIG.learning_rate, eps=CONFIG.adam_epsilon
    )
    states, actions, values = (
        torch.from_numpy(each.copy())
        for each in (agent.replay.states, agent.replay.actions, agent.replay.values)
    )
    rows = torch.arange(CONFIG.batch_size)

    def step() -> float:
        drawn = torch.randint(len(states), (CONFIG.batch_size,))
        seen = states[drawn]
        with torch.no_grad():
            held = network(seen)
            held[rows, actions[drawn]] = values[drawn]
        first = 0.0
        for number in range(CONFIG.gradient_passes):
            optimiser.zero_grad()
            loss = torch.nn.functional.mse_loss(network(seen), held)
            loss.backward()
            optimiser.step()
            first = first if number else loss.item()
        return first

    return step


def keras_step(agent: DQNAgent) -> Callable[[], object]:
    """The authors': `predict` for the targets, then `fit` with five epochs."""
    from tensorflow import keras  # type: ignore[import-not-found]

    network = keras_network(CONFIG)
    network.compile(keras.optimizers.Adam(CONFIG.learning_rate), "mse")
    rng = np.random.default_rng(0)

    def step() -> object:
        states, actions, values, _ = agent.replay.sample(CONFIG.batch_size, rng)
        held = network.predict(states, verbose=0)
        held[np.arange(len(states)), actions] = values
        return network.fit(states, held, epochs=CONFIG.gradient_passes, verbose=0)

    return step


def baselines3_step(agent: DQNAgent) -> Callable[[], object]:
    """Five gradient steps of the DQN of Stable-Baselines3, with the same network and memory."""
    import gymnasium
    from stable_baselines3 import DQN
    from stable_baselines3.common.logger import Logger

    class Nothing(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 1, (CHANNELS,), np.float32)
        action_space = gymnasium.spaces.Discrete(len(CONFIG.encodings))

    model = DQN(
        "MlpPolicy",
        Nothing(),
        buffer_size=CONFIG.replay_capacity,
        policy_kwargs={"net_arch": list(CONFIG.hidden)},
    )
    model.set_logger(Logger(None, []))
    replay = agent.replay
    for state, action, value in zip(replay.states, replay.actions, replay.values, strict=True):
        model.replay_buffer.add(state, state, np.array([action]), np.array([value]), [False], [{}])
    return lambda: model.train(CONFIG.gradient_passes, CONFIG.batch_size)


def recorded_training(rng: np.random.Generator) -> Callable[[], object]:
    """Algorithm 1 on a table of random answers, 1,600 steps; the table is loaded already."""
    view = view_of(CONFIG)
    columns = len(view.encodings) + 1
    rows = [
        Recorded(
            *(f"{number}.jpg", f"{number}", 1000, *rng.integers(50, 200, (2, columns))),
            *(
                rng.choice(["cat", "dog", "fox"], (columns, 5)),
                rng.random((columns, 5), np.float32),
            ),
            rng.random((2, 2, CHANNELS), np.float32),
            rng.random(drift.CONTEXT, np.float32),
        )
        for number in range(IMAGES)
    ]
    table = Table.from_rows(Source("random", view.encodings, ""), rows)

    def run() -> object:
        images = [RecordedImage(table, index, view) for index in range(IMAGES)]
        return trained_agent(CONFIG, images, np.random.default_rng(0))

    return run


def measured(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    rng = np.random.default_rng(0)
    agent = full_agent(rng)
    peers = (
        ("PyTorch eager", ">= 2", lambda: pytorch_step(agent, options.threads)),
        ("Keras fit", ">= 30", lambda: keras_step(agent)),
        ("Stable-Baselines3", None, lambda: baselines3_step(agent)),
    )
    rows = []
    for peer, target, make in peers:
        name = f"learning step: {peer} / ours"
        try:
            step = make()
        except ImportError:
            rows.append(missing(name, peer, target))
            continue
        often = options.repetitions if "Keras" not in peer else options.repetitions // 4
        seconds = in_turns({"peer": step, "own": agent.learn}, often)
        ours, theirs = seconds["own"], seconds["peer"]
        rows.append(ratio(name, ours, theirs, target) if target else ratio(name, theirs, ours))
        rows += [duration(f"learning step, {peer}", seconds["peer"])]
        rows += [duration("learning step, ours", seconds["own"])]
    training, times = recorded_training(rng), []
    for _ in range(3):
        started = time.perf_counter()
        training()
        times.append(time.perf_counter() - started)
    return [*rows, duration("training from a table, 1,600 steps", np.array(times), "<= 3", "s")]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.learning", __doc__)
    command.add_argument("--threads", type=int, default=2, metavar="N", help="of PyTorch")
    command.add_argument("--repetitions", type=int, default=200, metavar="N")
    options = command.parse_args(arguments)
    return show(measured(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
