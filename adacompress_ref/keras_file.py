"""Read a stack of dense layers from a Keras 2 HDF5 file (extra `keras`: h5py)."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from .agents import AgentError
from .core.agent import DQNAgent
from .core.config import AUTHORS

_INERT = ("InputLayer", "Dropout", "Flatten")  # change nothing when a vector is predicted


def read_dense_stack(path: str | os.PathLike[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel [inputs, outputs] and bias [outputs] of each layer, first to last.

    Raises ValueError where the file is not a model of dense layers with ReLU between them and a
    linear end, and ImportError where h5py is missing.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading Keras files needs h5py: pip install h5py") from error
    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs["model_config"])["config"]
        layers = [
            (layer["class_name"], layer["config"])
            for layer in (config["layers"] if isinstance(config, dict) else config)
            if layer["class_name"] not in _INERT
        ]
        stored = file.get("model_weights", file)
        stack = []
        for place, (kind, layer) in enumerate(layers):
            activation = "linear" if place == len(layers) - 1 else "relu"
            if kind != "Dense" or _name(layer["activation"]) != activation:
                raise ValueError(
                    f"layer {layer['name']}: {kind} with {_name(layer.get('activation'))}; "
                    f"expected Dense with {activation}"
                )
            group = stored[layer["name"]]
            arrays = [np.asarray(group[name]) for name in group.attrs["weight_names"]]
            kernel = arrays[0].astype(np.float32)
            bias = arrays[1] if layer["use_bias"] else np.zeros(kernel.shape[1])
            stack.append((kernel, bias.astype(np.float32)))
    return stack


def _name(activation: Any) -> Any:
    """Keras writes an activation as its name, or as an object that has one."""
    return activation.get("class_name") if isinstance(activation, dict) else activation


def load_keras(path: str | os.PathLike[str], rng: np.random.Generator | None = None) -> DQNAgent:
    """The authors' network, or any dense ReLU stack that Keras 2 saved as HDF5.

    Preset `authors`, with as many levels from 5 to 95 as the network has outputs. Raises
    AgentError, or ImportError where h5py is missing (extra `keras`).
    """
    try:
        stack = read_dense_stack(path)
        widths = [len(stack[0][0]), *(len(bias) for _, bias in stack)]
        levels = np.linspace(5, 95, widths[-1]).round().astype(int)
        encodings = tuple(f"jpeg-q{quality}" for quality in levels)
        config = AUTHORS.replace(hidden=tuple(widths[1:-1]), encodings=encodings)
        agent = DQNAgent(config, widths[0], rng or np.random.default_rng())
        for place, (kernel, bias) in enumerate(stack):
            agent.network.weights[place][:] = kernel
            agent.network.biases[place][:] = bias
    except ImportError:
        raise
    except Exception as error:  # h5py and json raise many kinds
        reason = " ".join(str(error).split())
        raise AgentError(f"{path}: not a Keras model that can be used ({reason})") from error
    agent.epsilon = 0.0
    return agent
