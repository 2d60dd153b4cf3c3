"""Options that several commands have, and kinds of values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..core import config as core
from ..imaging.parallel import cores
from ..survival import config as survival  # not `agents`, which needs all that --help does not

FORMATS = ("rekognition", "google", "baidu", "facepp")  # of which there is a gateway


def number(kind: Callable, least: float, most: float = float("inf")) -> Callable[[str], float]:
    """An argparse type: a number from `least` to `most`."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            limits = f"at least {least}" if most == float("inf") else f"from {least} to {most}"
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} must be {what}, {limits}")
        return value

    return convert


def option(to: argparse._ActionsContainer, names: str, value: str, text: str, **more: Any) -> None:
    """An option with a value, which the help calls so; `names` has its short form too."""
    to.add_argument(*names.split(), metavar=value, help=text, **more)


def flag(to: argparse._ActionsContainer, name: str, text: str) -> None:
    """An option without a value."""
    to.add_argument(name, action="store_true", help=text)


def preset(to: argparse.ArgumentParser) -> None:
    """--preset."""
    names, default = sorted(c.preset for c in core.PRESETS + survival.PRESETS), "tuned"
    text = f"default: {default}"
    to.add_argument("--preset", choices=names, default=default, help=text)


def agent(to: argparse.ArgumentParser) -> tuple[argparse._ActionsContainer, ...]:
    """The groups of --agent and --alpha, for what excludes them."""
    preset(to)
    to.set_defaults(preset=None)  # an agent named has its own
    agent, goal = to.add_mutually_exclusive_group(), to.add_mutually_exclusive_group()
    option(agent, "--agent", "FILE", "default: the shipped agent of the preset")
    text = "AC-3: what an answer kept is worth, in uploads of quality 75; not for paper, authors"
    option(goal, "--alpha", "X", text, type=number(float, 0.01, 1000))
    return agent, goal


def agreement(to: argparse.ArgumentParser, goal: argparse._ActionsContainer) -> None:
    """--agreement, in place of --alpha; --confidence."""
    text = "the share of answers to keep; default: 0.95, but for paper and authors"
    option(goal, "--agreement", "P", text, type=number(float, 0.01, 1))
    text = "keep it in so many of streams like this one, such as 0.9; it costs bytes"
    option(to, "--confidence", "P", text, type=number(float, 0.5, 0.99))


def service(to: argparse.ArgumentParser, required: bool = True) -> None:
    """--service, and how it is asked."""
    text = "squeezenet, onnx:FILE, rekognition, baidu, facepp, google, openai, recorded:FILE"
    text += ", or MODULE:CLASS, one's own"
    option(to, "--service", "S", text, required=required)
    option(to, "--record", "FILE", "add all answers to FILE, for --service recorded:FILE")
    option(to, "--timeout", "S", "seconds for one try; default: 20", type=number(float, 0.1))
    option(to, "--rate", "N", "most requests a second", type=number(float, 0.001))
    to.set_defaults(tries=None)
    option(to, "--model", "NAME", "the model of openai, by its server's name")
    option(to, "--app-dir", "DIR", "where MODULE is; default: the current folder", default=".")


def images(to: argparse.ArgumentParser, quiet: str = "no progress") -> None:
    """How images are read, by which extractor, and what is said meanwhile."""
    text = "another MobileNetV2, .onnx with a .json beside it; agents and tables fit one alone"
    option(to, "--extractor", "FILE", text)
    pixels, text = number(int, 1), "largest image, in pixels, WebP and TIFF half; default: 50331648"
    option(to, "--pixel-limit", "N", text, type=pixels, default=8192 * 6144)
    flag(to, "--quiet", quiet)


def encodings(to: argparse.ArgumentParser) -> None:
    """--encodings."""
    option(to, "--encodings", "LIST", "names like jpeg-q15,webp-224-q55; default: the preset's")


def workers(to: argparse._ActionsContainer, what: str) -> None:
    """--workers, of what."""
    text = f"{what}; default: one a core"
    option(to, "--workers", "N", text, type=number(int, 1), default=cores())


def return_reward(to: argparse.ArgumentParser) -> None:
    """--return-reward."""
    text = "r_th, for paper and authors: the mean reward that ends a retraining; default: 0.45"
    option(to, "--return-reward", "R", text, type=number(float, -1000, 1000))


def with_return_reward(config: Any, arguments: argparse.Namespace) -> Any:
    """A config with the r_th that was asked for. Raises ValueError where it has none."""
    if arguments.return_reward is None:
        return config
    if not hasattr(config, "return_reward"):
        raise ValueError(f"--return-reward: preset {config.preset} has no r_th; leave it out")
    return config.replace(return_reward=arguments.return_reward)


def seed(to: argparse.ArgumentParser) -> None:
    """--seed."""
    option(to, "--seed", "N", "default: 0", type=number(int, 0), default=0)
