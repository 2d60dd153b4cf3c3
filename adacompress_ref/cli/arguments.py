"""The arguments of each command, and what is read from the environment."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .. import __version__
from ..core import config as core
from ..imaging.parallel import cores
from ..survival import config as survival  # not `agents`, which needs all that --help does not

_ENVIRONMENT = """\
from the environment:
  ADACOMPRESS_WEIGHTS    folder of weight files, searched before the shipped one
  ADACOMPRESS_OFFLINE    1: weights fetch downloads nothing
  ORT_DISABLE_TELEMETRY  1 unless set: ONNX Runtime reports nothing to its maker
  XDG_CACHE_HOME         where weights fetch makes its folder; default: ~/.cache
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE,
  AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_REGION, AWS_DEFAULT_REGION
                         credentials and region of rekognition, as in AWS's tools
  BAIDU_API_KEY, BAIDU_SECRET_KEY, FACEPP_API_KEY, FACEPP_API_SECRET,
  GOOGLE_API_KEY, OPENAI_API_KEY
                         credentials of baidu, facepp, google and openai
  AWS_ENDPOINT_URL_REKOGNITION, AWS_ENDPOINT_URL, BAIDU_ENDPOINT,
  FACEPP_ENDPOINT, GOOGLE_VISION_ENDPOINT, OPENAI_BASE_URL
                         another server for a service, such as adacompress serve
  OPENAI_WEBP            1: the server of openai takes WebP too
  HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE
                         as the package requests takes them
extras, as in pip install 'adacompress_ref[onnx]', and what each adds once installed:
  onnx 30 MB, for --extractor; keras 20 MB; heif 20 MB; plot 80 MB
  docs 10 MB, test 30 MB, dev 400 MB; bench 1 GB, or 5.7 GB where PyTorch has CUDA
Only help and usage are ever coloured, by Python 3.14 or later, unless NO_COLOR is set."""


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="adacompress",
        description="Choose the JPEG quality of each upload, learning from the service's answers.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"adacompress_ref {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, example: str, json: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: adacompress {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if json:
            _flag(added, "--json", "print JSON to standard output")
        _flag(added, "--debug", "print the traceback of what ends the command, too")
        return added

    text = "choose a level for each image and write the file to upload; no service needed"
    one = command("compress", text, "photos/*.jpg -o smaller", json=False)
    text = "image files, or folders of them; -: one image from standard input, to standard output"
    one.add_argument("images", nargs="*", metavar="IMAGE", help=text)
    _option(one, "--files-from", "FILE", "names of more, one a line; -: from standard input")
    text = "default: compressed; -: one image, to standard output"
    _option(one, "-o --output --dest", "DIR", text)
    _flag(one, "--noaction", "choose and print, write nothing")
    printed = one.add_mutually_exclusive_group()
    _flag(printed, "--json", "print JSON to standard output")
    _flag(printed, "--csv", "print CSV with a header line instead")
    _flag(one, "--totals", "the totals with --quiet too")
    _flag(one, "--keep-exif", "copy EXIF into the output")
    _flag(one, "--keep-tree", "name outputs by all of the input's path: DIR/2023/a.gif.jpg")
    _flag(one, "--preserve", "give outputs the dates of their inputs")
    _flag(one, "--webp", "the service takes WebP too (for --preset ladder)")
    _flag(one, "--overwrite", "replace files that differ from the new ones")
    text = "do not encode quality 75 too, to compare with: faster on large images"
    one.add_argument("--no-reference", dest="reference", action="store_false", help=text)
    _workers(one, "images at once, each with its memory")
    _agent(one)
    _images(one, "print errors alone")

    text = "upload every level of every image once and keep the answers in a table"
    one = command("label", text, "--images photos --service squeezenet -o photos.npz")
    _option(one, "--images", "DIR", "folder of images", required=True)
    _service(one)
    _option(one, "-o --output", "TABLE", "the table, .npz", required=True)
    _workers(one, "processes, one thread each")
    _preset(one)
    _encodings(one)
    _images(one)

    text = "train an agent by Algorithm 1, on a table or live"
    one = command("train", text, "--table photos.npz -o agent.npz")
    source = one.add_mutually_exclusive_group(required=True)
    _option(source, "--table", "TABLE", "made by label; several services, if there are", nargs="+")
    _option(source, "--images", "DIR", "folder of images, uploaded as it learns")
    _service(one, required=False)
    _option(one, "-o --output", "AGENT", "the agent, .npz", required=True)
    tested = one.add_mutually_exclusive_group()
    _option(tested, "--test-images", "FILE", "names of images never to train on, one a line")
    share, text = number(float, 0.001, 0.999), "share of images never to train on; default: 0.2"
    _option(tested, "--test-share", "P", text, type=share, default=0.2)
    text = "labels below are no answer; of several, each makes another service of a table"
    score = number(float, 0, 1)
    _option(one, "--min-score", "P", text, nargs="+", type=score, default=[0.0])
    _option(one, "--steps", "N", "default: the preset's", type=number(int, 1))
    _preset(one)
    _seed(one)
    _encodings(one)
    _images(one)

    text = "fixed levels, random, agent and oracle side by side, on images held out from training"
    one = command("evaluate", text, "--table photos.npz --agent agent.npz")
    _option(one, "--table", "TABLE", "made by label", required=True)
    _option(one, "--test-images", "FILE", "names of images to test on, one a line")
    _agent(one)

    text = "the three states over a stream of images"
    one = command("run", text, "--images photos --service squeezenet --state state")
    _option(one, "--images", "DIR", "folder of images", required=True)
    _service(one)
    one.set_defaults(tries=3)  # of an upload, before others go first
    _flag(one, "--follow", "send what arrives later too, until it is told to stop")
    text = "with --follow: seconds between two looks into the folder; default: 5"
    _option(one, "--every", "S", text, type=number(float, 0.1), default=5)
    text = "with --follow: seconds for which a file has not changed when it is taken; default: 2"
    _option(one, "--settle", "S", text, type=number(float, 0), default=2)
    text = "names to leave out, such as 'thumb*'; hidden ones and @eaDir, #recycle, lost+found are"
    _option(one, "--exclude", "PATTERN", text, action="append", default=[])
    _flag(one, "--check", "ask for every reference aside, to know the true agreement")
    _flag(one, "--pay-for-check", "of a service that is paid for, too")
    _flag(one, "--again", "send the same bytes under another name again, and pay for them")
    text = "seconds without any answer before the rest is left; with --follow no end; default: 60"
    _option(one, "--wait", "S", text, type=number(float, 0), default=60)
    _option(one, "--state", "DIR", "where log and agent live, to go on later")
    agent, goal = _agent(one)
    _flag(agent, "--untrained", "begin with a new agent, in retrain")
    text = "the share of answers to keep; default: 0.95, but for paper and authors"
    _option(goal, "--agreement", "P", text, type=number(float, 0.01, 1))
    text = "keep it in so many of streams like this one, such as 0.9; it costs bytes"
    _option(one, "--confidence", "P", text, type=number(float, 0.5, 0.99))
    _seed(one)
    _images(one)

    text = "Grad-CAM: which regions decided the level; of several images, one sheet"
    one = command("explain", text, "photos/*.jpg -o heat.png")
    one.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    text = "the picture, .png; -: to standard output"
    _option(one, "-o --output", "HEATMAP", text, required=True)
    _option(one, "--level", "C", "jpeg-q15, or 15, instead of each image's chosen level")
    _agent(one)
    _images(one)

    text = "a run or an evaluation as one page of HTML that needs nothing else"
    one = command("report", text, "state --images photos -o report.html")
    text = "a run's state folder or log.jsonl; or what evaluate --json printed; -: standard input"
    one.add_argument("log", metavar="LOG", help=text)
    _option(one, "-o --output", "PAGE", "the page, .html; -: to standard output", required=True)
    _option(one, "--images", "DIR", "the run's photographs, to show the worst disagreements")
    _option(one, "--worst", "N", "of these; default: 6", type=number(int, 0), default=6)
    _preset(one)
    one.set_defaults(preset=None, alpha=None)
    _option(one, "--agent", "FILE", "for heat maps; default: the state folder's")
    _images(one)

    text = "a local service that looks like five others from outside, for dry runs"
    one = command("serve", text, "--latency 0.2 --error-rate 0.05")
    _option(one, "--service", "S", "squeezenet (default) or onnx:FILE", default="squeezenet")
    text, score = "labels below are no answer; default: the sidecar's", number(float, 0, 1)
    _option(one, "--min-score", "P", text, type=score)
    _option(one, "--host", "ADDRESS", "default: this machine alone", default="127.0.0.1")
    port, text = number(int, 0, 65535), "default: 8000; 0: any that is free"
    _option(one, "--port", "N", text, type=port, default=8000)
    seconds, text = number(float, 0, 3600), "before each answer; default: 0"
    _option(one, "--latency", "SECONDS", text, type=seconds, default=0.0)
    bits, text = number(float, 1), "a second, for uploads; default: no limit"
    _option(one, "--bandwidth", "BITS", text, type=bits, default=float("inf"))
    text = "share of requests with a fault: no answer, a damaged one, an error; default: 0"
    _option(one, "--error-rate", "P", text, type=number(float, 0, 1), default=0.0)
    text = "images answered, then quota errors; default: no limit"
    _option(one, "--quota", "N", text, type=number(int, 0), default=float("inf"))
    _seed(one)

    one = command("weights", "weight files: list, verify, fetch", "verify")
    one.add_argument("action", nargs="?", default="list", choices=("list", "verify", "fetch"))
    one.add_argument("name", nargs="?", help="with fetch: which")

    text = "a script that lets the shell complete commands and options"
    one = command("completion", text, "bash >> ~/.bashrc", json=False)
    one.add_argument("shell", choices=("bash", "zsh"))
    return top


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


def _option(to: argparse._ActionsContainer, names: str, value: str, text: str, **more: Any) -> None:
    to.add_argument(*names.split(), metavar=value, help=text, **more)


def _flag(to: argparse._ActionsContainer, name: str, text: str) -> None:
    to.add_argument(name, action="store_true", help=text)


def _preset(to: argparse.ArgumentParser) -> None:
    names, default = sorted(c.preset for c in core.PRESETS + survival.PRESETS), "tuned"
    text = f"default: {default}"
    to.add_argument("--preset", choices=names, default=default, help=text)


def _agent(to: argparse.ArgumentParser) -> tuple[argparse._ActionsContainer, ...]:
    """The groups of --agent and --alpha, for what excludes them."""
    _preset(to)
    to.set_defaults(preset=None)  # an agent named has its own
    agent, goal = to.add_mutually_exclusive_group(), to.add_mutually_exclusive_group()
    _option(agent, "--agent", "FILE", "default: the shipped agent of the preset")
    text = "AC-3: what an answer kept is worth, in uploads of quality 75; not for paper, authors"
    _option(goal, "--alpha", "X", text, type=number(float, 0.01, 1000))
    return agent, goal


def _service(to: argparse.ArgumentParser, required: bool = True) -> None:
    text = "squeezenet, onnx:FILE, rekognition, baidu, facepp, google, openai, recorded:FILE"
    text += ", or MODULE:CLASS, one's own"
    _option(to, "--service", "S", text, required=required)
    _option(to, "--record", "FILE", "add all answers to FILE, for --service recorded:FILE")
    _option(to, "--timeout", "S", "seconds for one try; default: 20", type=number(float, 0.1))
    _option(to, "--rate", "N", "most requests a second", type=number(float, 0.001))
    to.set_defaults(tries=None)
    _option(to, "--model", "NAME", "the model of openai, by its server's name")
    _option(to, "--app-dir", "DIR", "where MODULE is; default: the current folder", default=".")


def _images(to: argparse.ArgumentParser, quiet: str = "no progress") -> None:
    text = "another MobileNetV2, .onnx with a .json beside it; agents and tables fit one alone"
    _option(to, "--extractor", "FILE", text)
    pixels, text = number(int, 1), "largest image, in pixels, WebP and TIFF half; default: 50331648"
    _option(to, "--pixel-limit", "N", text, type=pixels, default=8192 * 6144)
    _flag(to, "--quiet", quiet)


def _encodings(to: argparse.ArgumentParser) -> None:
    _option(to, "--encodings", "LIST", "names like jpeg-q15,webp-224-q55; default: the preset's")


def _workers(to: argparse._ActionsContainer, what: str) -> None:
    text = f"{what}; default: one a core"
    _option(to, "--workers", "N", text, type=number(int, 1), default=cores())


def _seed(to: argparse.ArgumentParser) -> None:
    _option(to, "--seed", "N", "default: 0", type=number(int, 0), default=0)
