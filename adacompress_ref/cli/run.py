"""`adacompress run`: the three states over a stream of images."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack, closing
from tempfile import TemporaryDirectory
from typing import Any

from .. import agents
from ..core.controller import Controller
from ..running import runlog
from ..running.arrivals import Arrivals
from ..running.pilot import AdaCompress
from ..running.seen import counts
from ..running.state import StateFolder, file_of
from ..running.stream import Stream
from ..storage import artifacts
from ..storage.files import printable
from ..survival.agent import ALPHAS
from .common import (
    open_named_service,
    open_pilot,
    percent,
    say,
    say_of,
    stop_signal,
)
from .options import with_return_reward
from .progress import Progress


def main(arguments: argparse.Namespace) -> int:
    """Send the images of a folder, or follow it; with a state folder, go on."""
    service = open_named_service(arguments)
    if arguments.untrained:
        config = agents.preset(arguments.preset or agents.DEFAULT_PRESET)
        config = with_return_reward(config, arguments)
        pilot = AdaCompress.untrained(config, extractor=arguments.extractor, seed=arguments.seed)
        pilot.aim(arguments.alpha, arguments.agreement, arguments.confidence)
    else:
        pilot = open_pilot(arguments, arguments.seed)
        if arguments.return_reward is not None:
            pilot.agent.config = with_return_reward(pilot.config, arguments)
            pilot.resume(Controller(pilot.agent, agents.monitor_of(pilot.agent)))
    with ExitStack() as stack:
        folder = arguments.state or stack.enter_context(TemporaryDirectory(prefix="adacompress-"))
        state = stack.enter_context(closing(StateFolder(folder, _settings(arguments, pilot))))
        arrivals = Arrivals(
            arguments.images,
            state.seen,
            follow=arguments.follow,
            every=arguments.every,
            settle=arguments.settle,
            exclude=tuple(arguments.exclude),
            tell=say,
        )
        arrivals.look()
        stream = Stream(
            arguments.images,
            pilot,
            service,
            state,
            pixel_limit=arguments.pixel_limit,
            wait=float("inf") if arguments.follow else arguments.wait,
            once="name" if arguments.again else "content",
            check=arguments.check,
            floor=arguments.floor,
            say=say,
        )
        return _send(stream, arrivals, arguments)


def _send(stream: Stream, arrivals: Arrivals, arguments: argparse.Namespace) -> int:
    state = stream.state
    if state.lines:
        say(f"{len(arrivals.done)} images were done before, {len(arrivals)} are left")
    if arguments.follow:
        say(f"following {printable(arguments.images)}; left out: {', '.join(arrivals.exclude)}")
    if not arguments.json:
        print(f"{'image':<28} {'state':<9} {'encoding':>9} {'bytes':>8} {'of q75':>7} kept answer")
    quiet = arguments.quiet or arguments.follow or not arguments.json
    progress = Progress("run", len(arrivals), quiet)
    failed = 0
    with stop_signal() as stop:
        for line in stream.send(arrivals, lambda: stop.signal):
            progress.clear()
            _show(line, arguments.json)
            failed += line["error"] is not None
            progress.advance()
    if stream.repeated:
        say(f"sent under another name: {stream.repeated}; --again sends these too")
    others = counts(state.seen.troubles)
    others["waiting"] += arrivals.left
    totals = runlog.figures(state.totals, stream.times, **others)
    if checked := stream.checked:
        totals |= {"true_agreement": sum(checked) / len(checked), "checked": len(checked)}
    goal = getattr(stream.pilot.agent, "goal", None)
    floor = totals["asked_again"]
    if goal and floor and goal > floor["quality_95"]["share"]:
        kept = f"quality 95 keeps {floor['quality_95']['share']:.3f}"
        say(f"adacompress: an agreement of {goal:g} is out of reach: {kept}")
    elif goal and totals["alpha"] == ALPHAS[1]:
        say(f"adacompress: an agreement of {goal:g} is out of reach so far")
    if why := retrains(stream.pilot.controller):
        say(f"adacompress: {why}")
    if arguments.json:
        print(json.dumps({"totals": totals}))
    else:
        _show_totals(totals)
    hint = "run the same command to go on" if arguments.state else "without --state nothing is kept"
    if stop.signal and not stream.finished:
        say(f"adacompress: stopped after {state.lines} images; {hint}")
        return 128 + stop.signal
    if stream.gone:
        say(f"adacompress: {stream.gone}")
        say(f"adacompress: {state.lines} images are done, the others wait; {hint}")
        return 1
    return 1 if failed or totals["waiting"] or totals["put_aside"] else 0


def retrains(controller: Controller) -> str:
    """Why a retraining goes on, in words, where r_th is to end it."""
    r_th = getattr(controller.agent.config, "return_reward", None)
    if r_th is None or controller.initial or controller.state != "retrain":
        return ""
    reward = controller.monitor.mean_reward  # type: ignore[attr-defined]
    return f"retrains until the mean reward, now {reward:.2f}, is above --return-reward {r_th:g}"


def _settings(arguments: argparse.Namespace, pilot: AdaCompress) -> dict[str, Any]:
    """What must be the same at each return."""
    names = ("service", "untrained", "seed", "alpha", "agreement", "confidence", "return_reward")
    digest = artifacts.sha256(file_of(arguments.agent)) if arguments.agent else None
    given = {name: getattr(arguments, name) for name in names}
    return {"preset": pilot.config.preset, "agent": digest} | given


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
    names = {"waiting": "waiting", "put_aside": "put aside", "gone": "gone before they were read"}
    others = "".join(f", {totals[name]} {text}" for name, text in names.items() if totals[name])
    print(f"{totals['images']} images, {totals['failed']} failed{others}; {states or 'none sent'}")
    if not totals["reference_bytes"]:
        return
    kept = "not measured: no estimate yet"
    if totals["measured"]:
        kept = f"{totals['agreement']:.3f} in {totals['measured']} measured"
    print(f"agreement with quality 75: {kept}")
    if floor := totals["asked_again"]:
        print(f"best labels of {floor['references']} references kept when they were asked again:")
        for what in ("identical", "quality_95"):
            low, high = floor[what]["interval"]
            print(
                f"  {what.replace('_', ' ')}: {floor[what]['share']:.3f} ({low:.3f} to {high:.3f})"
            )
    print(
        f"bytes: all, references included, {totals['net_size_ratio']:.3f} of always quality 75; "
        f"{percent(totals['bytes_sent'], totals['original_bytes'])} of the files as they were; "
        f"chosen uploads alone {totals['size_ratio']:.3f} in the mean of the images"
    )
    if "checked" in totals:
        true = f"{totals['true_agreement']:.3f} in {totals['checked']} checked aside"
        print(f"measured agreement {kept}; true agreement {true}")
