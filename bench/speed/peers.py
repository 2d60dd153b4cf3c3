"""The Q-network as a peer has it."""

from __future__ import annotations

from typing import Any

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import Config
from adacompress_ref.imaging.extractor import CHANNELS


def pytorch_network(agent: DQNAgent, threads: int) -> Any:
    """The agent's network in PyTorch, with its parameters. Raises ImportError."""
    import torch

    torch.set_num_threads(threads)
    layers: list[Any] = []
    for weight, bias in zip(agent.network.weights, agent.network.biases, strict=True):
        linear = torch.nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def keras_network(config: Config) -> Any:
    """The network of a config in Keras, untrained. Raises ImportError."""
    from tensorflow import keras  # type: ignore[import-not-found]

    network = keras.Sequential([keras.Input((CHANNELS,))])
    for width in config.hidden:
        network.add(keras.layers.Dense(width, activation="relu"))
    network.add(keras.layers.Dense(len(config.encodings)))
    return network
