"""The Q-network as a peer has it."""

from __future__ import annotations

from typing import Any

from adacompress_ref.core.agent import DQNAgent


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
