"""The arguments of each command, and what is read from the environment."""

from __future__ import annotations

import argparse

from .. import __version__
from . import options
from .options import flag, number, option

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
  ADACOMPRESS_GATEWAY_TOKEN
                         what clients of gateway have to know
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
            flag(added, "--json", "print JSON to standard output")
        flag(added, "--debug", "print the traceback of what ends the command, too")
        return added

    text = "choose a level for each image and write the file to upload; no service needed"
    one = command("compress", text, "photos/*.jpg -o smaller", json=False)
    text = "image files, or folders of them; -: one image from standard input, to standard output"
    one.add_argument("images", nargs="*", metavar="IMAGE", help=text)
    option(one, "--files-from", "FILE", "names of more, one a line; -: from standard input")
    text = "default: compressed; -: one image, to standard output"
    option(one, "-o --output --dest", "DIR", text)
    flag(one, "--noaction", "choose and print, write nothing")
    printed = one.add_mutually_exclusive_group()
    flag(printed, "--json", "print JSON to standard output")
    flag(printed, "--csv", "print CSV with a header line instead")
    flag(one, "--totals", "the totals with --quiet too")
    flag(one, "--keep-exif", "copy EXIF into the output")
    flag(one, "--keep-tree", "name outputs by all of the input's path: DIR/2023/a.gif.jpg")
    flag(one, "--preserve", "give outputs the dates of their inputs")
    flag(one, "--webp", "the service takes WebP too (for --preset ladder)")
    flag(one, "--overwrite", "replace files that differ from the new ones")
    text = "do not encode quality 75 too, to compare with: faster on large images"
    one.add_argument("--no-reference", dest="reference", action="store_false", help=text)
    options.workers(one, "images at once, each with its memory")
    options.agent(one)
    options.images(one, "print errors alone")

    text = "upload every level of every image once and keep the answers in a table"
    one = command("label", text, "--images photos --service squeezenet -o photos.npz")
    option(one, "--images", "DIR", "folder of images", required=True)
    options.service(one)
    option(one, "-o --output", "TABLE", "the table, .npz", required=True)
    options.workers(one, "processes, one thread each")
    options.preset(one)
    options.encodings(one)
    options.images(one)

    text = "train an agent by Algorithm 1, on a table or live"
    one = command("train", text, "--table photos.npz -o agent.npz")
    source = one.add_mutually_exclusive_group(required=True)
    option(source, "--table", "TABLE", "made by label; several services, if there are", nargs="+")
    option(source, "--images", "DIR", "folder of images, uploaded as it learns")
    options.service(one, required=False)
    option(one, "-o --output", "AGENT", "the agent, .npz", required=True)
    tested = one.add_mutually_exclusive_group()
    option(tested, "--test-images", "FILE", "names of images never to train on, one a line")
    share, text = number(float, 0.001, 0.999), "share of images never to train on; default: 0.2"
    option(tested, "--test-share", "P", text, type=share, default=0.2)
    text = "labels below are no answer; of several, each makes another service of a table"
    score = number(float, 0, 1)
    option(one, "--min-score", "P", text, nargs="+", type=score, default=[0.0])
    option(one, "--steps", "N", "default: the preset's", type=number(int, 1))
    options.preset(one)
    options.return_reward(one)
    options.seed(one)
    options.encodings(one)
    options.images(one)

    text = "fixed levels, random, agent and oracle side by side, on images held out from training"
    one = command("evaluate", text, "--table photos.npz --agent agent.npz")
    option(one, "--table", "TABLE", "made by label", required=True)
    option(one, "--test-images", "FILE", "names of images to test on, one a line")
    options.agent(one)

    text = "the three states over a stream of images"
    one = command("run", text, "--images photos --service squeezenet --state state")
    option(one, "--images", "DIR", "folder of images", required=True)
    options.service(one)
    one.set_defaults(tries=3)  # of an upload, before others go first
    flag(one, "--follow", "send what arrives later too, until it is told to stop")
    text = "with --follow: seconds between two looks into the folder; default: 5"
    option(one, "--every", "S", text, type=number(float, 0.1), default=5)
    text = "with --follow: seconds for which a file has not changed when it is taken; default: 2"
    option(one, "--settle", "S", text, type=number(float, 0), default=2)
    text = "names to leave out, such as 'thumb*'; hidden ones and @eaDir, #recycle, lost+found are"
    option(one, "--exclude", "PATTERN", text, action="append", default=[])
    flag(one, "--check", "ask for every reference aside, to know the true agreement")
    flag(one, "--pay-for-check", "of a service that is paid for, too")
    text = "references asked again, as they are and at quality 95: what no encoding can keep"
    option(one, "--floor", "N", text, type=number(int, 0), default=0)
    flag(one, "--again", "send the same bytes under another name again, and pay for them")
    text = "seconds without any answer before the rest is left; with --follow no end; default: 60"
    option(one, "--wait", "S", text, type=number(float, 0), default=60)
    option(one, "--state", "DIR", "where log and agent live, to go on later")
    agent, goal = options.agent(one)
    flag(agent, "--untrained", "begin with a new agent, in retrain")
    options.agreement(one, goal)
    options.return_reward(one)
    options.seed(one)
    options.images(one)

    text = "Grad-CAM: which regions decided the level; of several images, one sheet"
    one = command("explain", text, "photos/*.jpg -o heat.png")
    one.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    text = "the picture, .png; -: to standard output"
    option(one, "-o --output", "HEATMAP", text, required=True)
    option(one, "--level", "C", "jpeg-q15, or 15, instead of each image's chosen level")
    options.agent(one)
    options.images(one)

    text = "a run or an evaluation as one page of HTML that needs nothing else"
    one = command("report", text, "state --images photos -o report.html")
    text = "a run's state folder or log.jsonl; or what evaluate --json printed; -: standard input"
    one.add_argument("log", metavar="LOG", help=text)
    option(one, "-o --output", "PAGE", "the page, .html; -: to standard output", required=True)
    option(one, "--images", "DIR", "the run's photographs, to show the worst disagreements")
    option(one, "--worst", "N", "of these; default: 6", type=number(int, 0), default=6)
    options.preset(one)
    one.set_defaults(preset=None, alpha=None)
    option(one, "--agent", "FILE", "for heat maps; default: the state folder's")
    options.images(one)

    text = "a local service that looks like five others from outside, for dry runs"
    one = command("serve", text, "--latency 0.2 --error-rate 0.05")
    option(one, "--service", "S", "squeezenet (default) or onnx:FILE", default="squeezenet")
    text, score = "labels below are no answer; default: the sidecar's", number(float, 0, 1)
    option(one, "--min-score", "P", text, type=score)
    option(one, "--host", "ADDRESS", "default: this machine alone", default="127.0.0.1")
    port, text = number(int, 0, 65535), "default: 8000; 0: any that is free"
    option(one, "--port", "N", text, type=port, default=8000)
    seconds, text = number(float, 0, 3600), "before each answer; default: 0"
    option(one, "--latency", "SECONDS", text, type=seconds, default=0.0)
    bits, text = number(float, 1), "a second, for uploads; default: no limit"
    option(one, "--bandwidth", "BITS", text, type=bits, default=float("inf"))
    text = "share of requests with a fault: no answer, a damaged one, an error; default: 0"
    option(one, "--error-rate", "P", text, type=number(float, 0, 1), default=0.0)
    text = "images answered, then quota errors; default: no limit"
    option(one, "--quota", "N", text, type=number(int, 0), default=float("inf"))
    options.seed(one)

    text = "between a client that stays as it is and its service: images leave smaller"
    one = command("gateway", text, "rekognition --state state", json=False)
    one.add_argument(
        "service",
        choices=("rekognition", "google", "baidu", "facepp"),
        help="whose format it speaks",
    )
    option(one, "--state", "DIR", "where log and agent live, to go on later", required=True)
    option(one, "--upstream", "URL", "the service; default: as the environment says")
    text = "default: this machine alone; others need ADACOMPRESS_GATEWAY_TOKEN"
    option(one, "--listen", "ADDRESS", text, default="127.0.0.1")
    option(one, "--port", "N", "default: 8080; 0: any that is free", type=port, default=8080)
    text = "by which clients call it too, such as that of a proxy with TLS before it"
    option(one, "--name", "HOST", text, action="append", default=[])
    text = "connections at once, further ones get 503; default: 64"
    option(one, "--clients", "N", text, type=number(int, 1, 900), default=64)
    text = "seconds until a client gets an answer or 503; default: 45"
    option(one, "--deadline", "S", text, type=number(float, 0.1), default=45.0)
    text = "seconds for what is under way when it is told to stop; default: 4"
    option(one, "--drain", "S", text, type=number(float, 0, 4), default=4.0)
    text = "numbers in Prometheus' text format, written every 10 seconds"
    option(one, "--metrics", "FILE.prom", text)
    _, goal = options.agent(one)
    options.agreement(one, goal)
    options.seed(one)
    options.extractor(one)

    one = command("weights", "weight files: list, verify, fetch", "verify")
    one.add_argument("action", nargs="?", default="list", choices=("list", "verify", "fetch"))
    one.add_argument("name", nargs="?", help="with fetch: which")

    text = "a script that lets the shell complete commands and options"
    one = command("completion", text, "bash >> ~/.bashrc", json=False)
    one.add_argument("shell", choices=("bash", "zsh"))
    return top
