"""Options that several commands have, and what is read from the environment."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..core.config import DEFAULT_PRESET, PRESETS
from ..imaging.parallel import cores

ENVIRONMENT = """\
from the environment:
  ADACOMPRESS_WEIGHTS    folder of weight files, searched before the shipped one
  ADACOMPRESS_OFFLINE    1: weights fetch downloads nothing
  ORT_DISABLE_TELEMETRY  1 unless set: ONNX Runtime reports nothing to its maker
  XDG_CACHE_HOME         where weights fetch makes its folder; default: ~/.cache
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE,
  AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_REGION, AWS_DEFAULT_REGION
                         credentials and region of rekognition, as in AWS's tools
  BAIDU_API_KEY, BAIDU_SECRET_KEY, FACEPP_API_KEY, FACEPP_API_SECRET,
  GOOGLE_API_KEY         credentials of baidu, facepp and google
  AWS_ENDPOINT_URL_REKOGNITION, AWS_ENDPOINT_URL, BAIDU_ENDPOINT,
  FACEPP_ENDPOINT, GOOGLE_VISION_ENDPOINT
                         another server for a service, such as adacompress serve
  HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE
                         as the package requests takes them
Only help and usage are ever coloured, by Python 3.14 or later, unless NO_COLOR is set."""


def number(kind: Callable, least: float, most: float | None = None) -> Callable[[str], float]:
    """An argparse type: a number from `least` to `most`."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= (float("inf") if most is None else most):
            limits = f"at least {least}" if most is None else f"from {least} to {most}"
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} must be {what}, {limits}")
        return value

    return convert


def preset_option(one: argparse.ArgumentParser) -> None:
    """--preset."""
    text = f"default: {DEFAULT_PRESET}"
    one.add_argument("--preset", choices=sorted(PRESETS), default=DEFAULT_PRESET, help=text)


def service_options(one: argparse.ArgumentParser, required: bool = True) -> None:
    """--service, and how an online one is spoken to."""
    text = "squeezenet, onnx:FILE, rekognition, baidu, facepp, google or recorded:FILE"
    one.add_argument("--service", required=required, metavar="S", help=text)
    text = "add all answers to FILE, for --service recorded:FILE"
    one.add_argument("--record", metavar="FILE", help=text)
    text = "seconds for one try; default: 20"
    one.add_argument("--timeout", type=number(float, 0.1), metavar="S", help=text)
    text = "most requests a second"
    one.add_argument("--rate", type=number(float, 0.001), metavar="N", help=text)


def workers_option(one: argparse._ActionsContainer, what: str) -> None:
    """--workers."""
    text = f"{what}; default: one a core"
    one.add_argument("--workers", type=number(int, 1), default=cores(), metavar="N", help=text)


def seed_option(one: argparse.ArgumentParser) -> None:
    """--seed."""
    one.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="default: 0")


def agent_options(one: argparse.ArgumentParser) -> None:
    """--agent, --preset and --alpha."""
    preset_option(one)
    one.set_defaults(preset=None)  # an agent named has its own
    one.add_argument("--agent", metavar="FILE", help="default: the shipped agent of the preset")
    text = "AC-3: what an answer kept is worth, in uploads of quality 75; not for paper, authors"
    one.add_argument("--alpha", type=number(float, 0.01, 1000), metavar="X", help=text)


def encoding_option(one: argparse.ArgumentParser) -> None:
    """--encodings."""
    text = "names like jpeg-q15,webp-224-q55; default: the preset's"
    one.add_argument("--encodings", metavar="LIST", help=text)


def image_options(one: argparse.ArgumentParser, quiet: str = "no progress") -> None:
    """--extractor, --pixel-limit and --quiet."""
    text = "another MobileNetV2, .onnx with a .json beside it; agents and tables fit one alone"
    one.add_argument("--extractor", metavar="FILE", help=text)
    pixels, text = number(int, 1), "largest image, in pixels, WebP and TIFF half; default: 50331648"
    one.add_argument("--pixel-limit", type=pixels, default=8192 * 6144, metavar="N", help=text)
    one.add_argument("--quiet", action="store_true", help=quiet)
