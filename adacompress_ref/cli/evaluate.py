"""`adacompress evaluate`: policies side by side on images held out from training."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from .. import agents
from ..core.roles import Agent
from ..storage import artifacts
from ..storage.files import printable
from ..tables.evaluation import evaluate
from ..tables.table import Table
from .alternatives import alternatives
from .common import check_preset, load_table, read_names

_BELOW = """\
service {service}, alpha {alpha:g}, preset {preset}: against the best fixed level ({best_fixed}, \
chosen on {best_fixed_chosen_on}) the agent captures {captured} of the gap to the oracle; bytes \
saved against fixed levels of the same agreement: {saving_vs_fixed:.1%}
size ratio: the mean of the images' ratios to quality 75; Huffman tables of all rows: \
{huffman_tables}; of the reference: standard. Where a level is never smaller than the reference, \
tuned and ladder send that: rows repeat"""


def main(arguments: argparse.Namespace) -> int:
    """Policies side by side on images that the agent was not trained on."""
    name = arguments.preset or agents.DEFAULT_PRESET
    agent = agents.load(artifacts.find(f"agent-{name}.npz", arguments.agent))
    table = load_table(arguments.table, agent.config)
    check_preset(arguments, agent.config)
    rows = table.indices(read_names(arguments.test_images)) if arguments.test_images else None
    report = evaluated(table, agent, rows, arguments.alpha or 1.0)
    if arguments.json:
        print(json.dumps(report))
    else:
        show_policies(report)
    return 0


def evaluated(
    table: Table, agent: Agent, rows: np.ndarray | None = None, alpha: float = 1.0
) -> dict[str, Any]:
    """The report of `evaluate`, with what needs no agent. Raises as that does."""
    report = evaluate(table, agent, rows, alpha)
    report["policies"][-3:-3] = alternatives(table, agent, rows, report)
    return report


def show_policies(report: dict[str, Any]) -> None:
    """The report as a table."""
    print(f"{'policy':<20} {'agreement':>9} {'size ratio':>10} {'reward':>7} {'images':>6}")
    for policy in report["policies"]:
        print(
            f"{policy['name']:<20} {policy['agreement']:>9.3f} {policy['size_ratio']:>10.3f} "
            f"{policy['reward']:>7.3f} {policy['images']:>6}"
        )
    gap = report["gap_captured"]
    words = {"service": printable(report["service"])}
    words["captured"] = "none" if gap is None else f"{gap:.1%}"
    print(_BELOW.format(**report | words))
