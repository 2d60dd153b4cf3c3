"""What an agent earns on a service unlike those of its training, once it has had 300 images there.

`python -m bench.unlike --table TABLE... --agent FILE... [--alpha 1] [--length 1000] [--after 300]
[--streams 40] [--min-score P] [--json]`

Streams are those of `bench.streams`, with alpha held. A reward is that of AC-3 of what was chosen:
alpha if the reference's best label is kept, less the size ratio; the references themselves are not
counted. Beside it stands the best fixed rung of the same images of the same stream, in hindsight.
The difference has its 95% interval over streams (bootstrap).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.tables.table import TableError

from . import streams
from .command import parser

RESAMPLES = 2000


def actions_of(task: streams.Task, alpha: float, rows: np.ndarray) -> np.ndarray:
    """The actions of a running system on streams of photographs [S, L], alpha held."""
    here = streams.world(task)
    actions = np.zeros(rows.shape, np.int64)
    for number, of_stream in enumerate(rows.tolist()):
        agent = agents.load(here.agent, np.random.default_rng([number, 1]))
        monitor = agents.monitor_of(agent)
        agent.aim(alpha, None)
        controller = Controller(agent, monitor)
        for turn, row in enumerate(of_stream):
            actions[number, turn] = controller.step(here.images[row]).action
    return actions


def differences(chosen: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Of S streams [S]: the mean reward less that of the stream's best fixed rung.

    chosen [S, L]: reward of each image; fixed [S, L, R]: of each rung.
    """
    return chosen.mean(axis=1) - fixed.mean(axis=1).max(axis=1)


def row_of(task: streams.Task, options: argparse.Namespace) -> dict[str, Any]:
    """The row of a table and an agent. Raises as `streams.world`."""
    here, alpha, count = streams.world(task), options.alpha, options.streams
    rows = streams.drawn(len(here.images), options.length, range(count))
    actions = actions_of(task, alpha, rows)[:, options.after :]
    late = rows[:, options.after :]
    sizes = np.array([image.sizes for image in here.images])  # [N, A + 1]
    ratios = np.minimum(sizes[:, :-1] / sizes[:, -1:], 1)
    kept, of_rungs, reference = here.rungs.of(late)
    rewards = alpha * here.kept[late, actions] - ratios[late, actions]
    fixed = alpha * kept - of_rungs / reference[..., None]
    found = differences(rewards, fixed)
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    return {
        "service": here.service,
        "preset": here.preset,
        "min_score": task.min_score,
        "alpha": alpha,
        "reward": float(rewards.mean()),
        "best_fixed": float((rewards.mean(axis=1) - found).mean()),
        "difference": float(found.mean()),
        "interval": np.percentile(found[drawn].mean(axis=1), (2.5, 97.5)).tolist(),
        "photographs": len(here.images),
        "held_out": here.held_out,
        "streams": count,
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2: a table or an agent cannot be used."""
    command = parser("bench.unlike", __doc__)
    command.add_argument("--table", nargs="+", type=Path, required=True, help="that `label` made")
    command.add_argument("--agent", nargs="+", type=Path, required=True, metavar="FILE")
    command.add_argument("--alpha", type=float, default=1.0)
    command.add_argument("--length", type=int, default=1000, help="images of a stream")
    command.add_argument("--after", type=int, default=300, help="images that do not count yet")
    command.add_argument("--streams", type=int, default=40)
    command.add_argument(
        "--min-score", type=float, default=0.0, metavar="P", help="labels below are not answered"
    )
    options = command.parse_args(arguments)
    options.confidence, options.set = None, []
    if not 0 <= options.after < options.length or options.streams < 2:
        command.error("--after must be below --length, --streams above 1")
    try:
        for task in streams.tasks_of(options):
            row = row_of(task, options)
            low, high = row["interval"]
            print(
                json.dumps(row)
                if options.json
                else f"{row['service']:20} {row['preset']:8} {row['reward']:.3f}, best fixed rung "
                f"{row['best_fixed']:.3f}: {row['difference']:+.3f} ({low:+.3f} to {high:+.3f})",
                flush=True,
            )
    except (TableError, agents.AgentError) as error:
        print(f"bench.unlike: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
