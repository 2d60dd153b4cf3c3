"""`adacompress run`: the three states over a stream of images."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .. import agents
from ..running import runlog
from ..running.folder import find
from ..running.pilot import AdaCompress
from ..running.state import StateFolder
from ..running.stream import Stream
from ..storage import artifacts
from ..storage.files import printable
from ..survival.agent import ALPHAS
from .common import open_named_service, open_pilot, percent, say, say_of, stop_signal
from .progress import Progress


def main(arguments: argparse.Namespace) -> int:
    """Send the images of a folder in the order of their names; with a state folder, go on."""
    service = open_named_service(arguments)
    names = find(arguments.images, say)
    if arguments.untrained:
        config = agents.preset(arguments.preset or agents.DEFAULT_PRESET)
        pilot = AdaCompress.untrained(config, extractor=arguments.extractor, seed=arguments.seed)
        pilot.aim(arguments.alpha, arguments.agreement, arguments.confidence)
    else:
        pilot = open_pilot(arguments, arguments.seed)
    state = _open_state(arguments, pilot)
    try:
        limits = {"pixel_limit": arguments.pixel_limit, "wait": arguments.wait}
        stream = Stream(arguments.images, pilot, service, state, say=say, **limits)
        return _send(stream, names, arguments)
    finally:
        if state:
            state.close()


def _send(stream: Stream, names: list[str], arguments: argparse.Namespace) -> int:
    left = stream.left(names)
    if stream.lines:
        say(f"{len(names) - len(left)} images were done before, {len(left)} are left")
    if not arguments.json:
        print(f"{'image':<28} {'state':<9} {'encoding':>9} {'bytes':>8} {'of q75':>7} kept answer")
    progress = Progress("run", len(left), arguments.quiet or not arguments.json)
    with stop_signal() as stop:
        for line in stream.send(left, lambda: stop.signal):
            progress.clear()
            _show(line, arguments.json)
            progress.advance()
    totals = runlog.summary(stream.lines, stream.times)
    goal = getattr(stream.pilot.agent, "goal", None)
    if goal and totals["alpha"] == ALPHAS[1]:
        say(f"adacompress: an agreement of {goal:g} is out of reach so far")
    if arguments.json:
        print(json.dumps({"totals": totals}))
    else:
        _show_totals(totals)
    hint = "run the same command to go on" if stream.state else "without --state nothing is kept"
    if stop.signal and not stream.finished:
        say(f"adacompress: stopped after {len(stream.lines)} images; {hint}")
        return 128 + stop.signal
    if stream.gone:
        say(f"adacompress: {stream.gone}")
        say(f"adacompress: {len(stream.lines)} images are done, the others wait; {hint}")
        return 1
    return 1 if totals["failed"] else 0


def _open_state(arguments: argparse.Namespace, pilot: AdaCompress) -> StateFolder | None:
    """The folder, if any is named."""
    if not arguments.state:
        return None
    settings = {
        "service": arguments.service,
        "preset": pilot.config.preset,
        "agent": artifacts.sha256(arguments.agent) if arguments.agent else None,
        "untrained": arguments.untrained,
        "seed": arguments.seed,
        "alpha": arguments.alpha,
        "agreement": arguments.agreement,
        "confidence": arguments.confidence,
    }
    return StateFolder(arguments.state, settings)


def _show(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(line), flush=True)
    elif line["error"] is None:
        kept = {None: "", 1.0: "yes", 0.0: "no"}[line["agreement"]]
        name, score = line["labels"][0] if line["labels"] else ("(no label)", 0.0)
        print(
            f"{printable(line['image']):<28} {line['state']:<9} {line['encoding']:>9} "
            f"{line['bytes']:>8} {percent(line['bytes'], line['reference_bytes']):>7} "
            f"{kept:<4} {printable(name)} {score:.2f}",
            flush=True,
        )
    if trouble := line["error"] or line["fault"]:
        say_of(line["image"], trouble)


def _show_totals(totals: dict[str, Any]) -> None:
    for what, found in totals["seconds"].items():
        shown = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in found.items())
        say(f"{what}: {shown}")
    states = ", ".join(f"{count} {state}" for state, count in sorted(totals["states"].items()))
    print(f"{totals['images']} images, {totals['failed']} failed; {states or 'none sent'}")
    if not totals["reference_bytes"]:
        return
    kept = "not measured: no estimate yet"
    if totals["measured"]:
        kept = f"{totals['agreement']:.3f} in {totals['measured']} measured"
    print(f"agreement with quality 75: {kept}")
    print(
        f"bytes: compressed uploads {totals['size_ratio']:.3f} of quality 75 in the mean; "
        f"all uploads, references included, {totals['net_size_ratio']:.3f}; "
        f"{percent(totals['bytes_sent'], totals['original_bytes'])} of the files as they were"
    )
