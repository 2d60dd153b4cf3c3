"""Replay a recorded run of the authors' system through this project's controller code.

`python -m bench.paper.replay_trace [FILE]` feeds the recorded accuracies and rewards to the
`Estimator` of preset `authors` and compares window means and p_est, as in force before each step,
with the recorded ones. States are taken from the record, as its random draws are not ours; where it
goes from an estimate to retraining against the estimator's rule, or does not, a line says so. It
always prints one line of JSON.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np

from adacompress_ref.core import equations
from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import AUTHORS
from adacompress_ref.core.estimator import Estimator
from adacompress_ref.core.roles import Measurement, Upload

from ..command import GOLDEN, parser

RUN = GOLDEN / "authors_run_463.json"
INFERENCE, ESTIMATE, RETRAIN = 1, 2, 3
TOLERANCE = 1e-9


def replay(record: dict) -> tuple[int, list[str]]:
    """Number of steps, and a line for each mismatch."""
    estimator = Estimator(DQNAgent(AUTHORS, 1, np.random.default_rng(0)))
    nothing = np.zeros(1), 0, Upload(0, None), Upload(0, None)  # that an estimator looks at
    states, mismatches = record["state"], []
    for step, state in enumerate(states):
        window = estimator.config.window
        found = {
            "recent_accuracy": equations.windowed_mean(estimator.accuracies, window),
            "recent_reward": equations.windowed_mean(estimator.rewards, window),
            "p_est": estimator.p_est,
        }
        for name, value in found.items():
            if name in record and not _same(value, record[name][step]):
                mismatches.append(f"step {step}: {name} {value}, recorded {record[name][step]}")
        following = states[step + 1] if step + 1 < len(states) else None
        if state != INFERENCE:
            measured = record["accuracy"][step], record["reward"][step]
            estimator.record(Measurement(*nothing, *measured))
        if state == ESTIMATE:
            estimator.estimated(measured=True)
            if following is not None and estimator.must_retrain != (following == RETRAIN):
                print(
                    f"step {step}: the record goes to state {following}, the rule not",
                    file=sys.stderr,
                )
        if state == RETRAIN and following in (INFERENCE, ESTIMATE):
            estimator.end_training()
    return len(states), mismatches


def _same(value: float, recorded: float | None) -> bool:
    if recorded is None or math.isnan(recorded):
        return math.isnan(value)
    return abs(value - recorded) <= TOLERANCE


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: no mismatch; 1: some; 2: no recorded run."""
    command = parser("bench.paper.replay_trace", __doc__)
    command.add_argument("file", nargs="?", default=RUN, metavar="FILE", help="JSON")
    path = command.parse_args(arguments).file
    try:
        steps, mismatches = replay(json.loads(Path(path).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        print(f"{path}: not a recorded run ({error!r})", file=sys.stderr)
        return 2
    for line in mismatches[:10]:
        print(line, file=sys.stderr)
    print(json.dumps({"steps": steps, "mismatches": len(mismatches)}))
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
