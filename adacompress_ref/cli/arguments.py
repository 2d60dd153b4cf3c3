"""The arguments of each command."""

from __future__ import annotations

import argparse

from .. import __version__
from .options import (
    ENVIRONMENT,
    agent_options,
    encoding_option,
    image_options,
    number,
    preset_option,
    seed_option,
    service_options,
    workers_option,
)


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="adacompress",
        description="Choose the JPEG quality of each upload, learning from the service's answers.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"adacompress_ref {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name != "completion":
            added.add_argument("--json", action="store_true", help="print JSON to standard output")
        return added

    one = command(
        "compress",
        "choose a level for each image and write the file to upload; no service needed",
        "adacompress compress photos/*.jpg -o smaller",
    )
    text = "image files, or folders of them; -: one image from standard input, to standard output"
    one.add_argument("images", nargs="*", metavar="IMAGE", help=text)
    text = "names of more, one a line; -: from standard input"
    one.add_argument("--files-from", metavar="FILE", help=text)
    text = "default: compressed; -: one image, to standard output"
    one.add_argument("-o", "--output", "--dest", metavar="DIR", help=text)
    one.add_argument("--noaction", action="store_true", help="choose and print, write nothing")
    one.add_argument("--csv", action="store_true", help="print CSV with a header line instead")
    text = "the totals with --quiet too"
    one.add_argument("--totals", action="store_true", help=text)
    one.add_argument("--keep-exif", action="store_true", help="copy EXIF into the output")
    text = "the service takes WebP too (for --preset ladder)"
    one.add_argument("--webp", action="store_true", help=text)
    text = "replace files that differ from the new ones"
    one.add_argument("--overwrite", action="store_true", help=text)
    text = "do not encode quality 75 too, to compare with: faster on large images"
    one.add_argument("--no-reference", dest="reference", action="store_false", help=text)
    workers_option(one, "images at once, each with its memory")
    agent_options(one)
    image_options(one, "print errors alone")

    one = command(
        "label",
        "upload every level of every image once and keep the answers in a table",
        "adacompress label --images photos --service squeezenet -o photos.npz",
    )
    one.add_argument("--images", required=True, metavar="DIR", help="folder of images")
    service_options(one)
    one.add_argument("-o", "--output", required=True, metavar="TABLE", help="the table, .npz")
    where = one.add_mutually_exclusive_group()
    workers_option(where, "processes, one thread each")
    text = "label on the workers of this Dask scheduler, which see DIR under the same path; "
    where.add_argument("--scheduler", metavar="ADDRESS", help=text + "--rate is for each")
    preset_option(one)
    encoding_option(one)
    image_options(one)

    one = command(
        "train",
        "train an agent by Algorithm 1, on a table or live",
        "adacompress train --table photos.npz -o agent.npz",
    )
    source = one.add_mutually_exclusive_group(required=True)
    text = "made by label; several services, if there are"
    source.add_argument("--table", nargs="+", metavar="TABLE", help=text)
    source.add_argument("--images", metavar="DIR", help="folder of images, uploaded as it learns")
    service_options(one, required=False)
    one.add_argument("-o", "--output", required=True, metavar="AGENT", help="the agent, .npz")
    held_out = one.add_mutually_exclusive_group()
    text = "names of images never to train on, one a line"
    held_out.add_argument("--test-images", metavar="FILE", help=text)
    share, text = number(float, 0, 1), "share of images never to train on; default: 0.2"
    held_out.add_argument("--test-share", type=share, default=0.2, metavar="P", help=text)
    one.add_argument("--steps", type=number(int, 1), metavar="N", help="default: the preset's")
    preset_option(one)
    seed_option(one)
    encoding_option(one)
    image_options(one)

    one = command(
        "evaluate",
        "fixed levels, random, agent and oracle side by side, on images held out from training",
        "adacompress evaluate --table photos.npz --agent agent.npz",
    )
    one.add_argument("--table", required=True, metavar="TABLE", help="made by label")
    one.add_argument("--test-images", metavar="FILE", help="names of images to test on, one a line")
    agent_options(one)

    one = command(
        "run",
        "the three states over a stream of images",
        "adacompress run --images photos --service squeezenet --state state",
    )
    text = "folder of images, in name order"
    one.add_argument("--images", required=True, metavar="DIR", help=text)
    service_options(one)
    text = "seconds for an image without an answer; after three, the rest is left; default: 60"
    one.add_argument("--wait", type=number(float, 0), default=60, metavar="S", help=text)
    one.add_argument("--state", metavar="DIR", help="where log and agent live, to go on later")
    one.add_argument("--untrained", action="store_true", help="begin with a new agent, in retrain")
    agent_options(one)
    text = "instead of --alpha: the share of answers to keep, such as 0.98"
    one.add_argument("--agreement", type=number(float, 0.01, 1), metavar="P", help=text)
    seed_option(one)
    image_options(one)

    one = command(
        "explain",
        "Grad-CAM: which regions decided the level; of several images, one sheet",
        "adacompress explain photos/*.jpg -o heat.png",
    )
    one.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    text = "the picture, .png; -: to standard output"
    one.add_argument("-o", "--output", required=True, metavar="HEATMAP", help=text)
    text = "jpeg-q15, or 15, instead of each image's chosen level"
    one.add_argument("--level", metavar="C", help=text)
    agent_options(one)
    image_options(one)

    one = command(
        "report",
        "a run or an evaluation as one page of HTML that needs nothing else",
        "adacompress report state --images photos -o report.html",
    )
    text = "a run's state folder or log.jsonl; or what evaluate --json printed; -: standard input"
    one.add_argument("log", metavar="LOG", help=text)
    text = "the page, .html; -: to standard output"
    one.add_argument("-o", "--output", required=True, metavar="PAGE", help=text)
    text = "the run's photographs, to show the worst disagreements"
    one.add_argument("--images", metavar="DIR", help=text)
    text = "of these; default: 6"
    one.add_argument("--worst", type=number(int, 0), default=6, metavar="N", help=text)
    preset_option(one)
    one.set_defaults(preset=None, alpha=None)
    one.add_argument("--agent", metavar="FILE", help="for heat maps; default: the state folder's")
    image_options(one)

    one = command(
        "serve",
        "a local service that looks like Baidu, Face++, Rekognition and Google, for dry runs",
        "adacompress serve --latency 0.2 --error-rate 0.05",
    )
    text = "squeezenet (default) or onnx:FILE"
    one.add_argument("--service", default="squeezenet", metavar="S", help=text)
    text = "default: this machine alone"
    one.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=text)
    text = "default: 8000; 0: any that is free"
    one.add_argument("--port", type=number(int, 0, 65535), default=8000, metavar="N", help=text)
    seconds, text = number(float, 0, 3600), "before each answer; default: 0"
    one.add_argument("--latency", type=seconds, default=0.0, metavar="SECONDS", help=text)
    bits, text = number(float, 1), "a second, for uploads; default: no limit"
    one.add_argument("--bandwidth", type=bits, default=float("inf"), metavar="BITS", help=text)
    text = "share of requests with a fault: no answer, a damaged one, an error; default: 0"
    one.add_argument("--error-rate", type=number(float, 0, 1), default=0.0, metavar="P", help=text)
    text = "images answered, then quota errors; default: no limit"
    one.add_argument("--quota", type=number(int, 0), default=float("inf"), metavar="N", help=text)
    seed_option(one)

    one = command("weights", "weight files: list, verify, fetch", "adacompress weights verify")
    one.add_argument("action", nargs="?", default="list", choices=("list", "verify", "fetch"))
    one.add_argument("name", nargs="?", help="with fetch: which")

    one = command(
        "completion",
        "a script that lets the shell complete commands and options",
        "adacompress completion bash >> ~/.bashrc",
    )
    one.add_argument("shell", choices=("bash", "zsh"))
    return top
