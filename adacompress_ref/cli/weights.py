"""`adacompress weights`: what is there, is it whole, get another."""

from __future__ import annotations

import argparse
import json

from ..storage import artifacts


def main(arguments: argparse.Namespace) -> int:
    """What is there, is it whole, get another."""
    if arguments.action == "fetch":
        if not arguments.name:
            raise ValueError(f"fetch: name one of {', '.join(artifacts.manifest()['fetch'])}")
        print(artifacts.fetch(arguments.name))
        return 0
    entries = artifacts.manifest()
    problems = dict(artifacts.verify()) if arguments.action == "verify" else {}
    if arguments.json:
        files = {
            name: {**entry, "problem": problems.get(name)}
            for name, entry in entries["files"].items()
        }
        print(json.dumps({"files": files, "fetch": entries["fetch"]}))
    else:
        for name, entry in entries["files"].items():
            verdict = "" if arguments.action == "list" else problems[name] or "whole"
            print(f"{name:<20} {entry['size']:>9}  {verdict or entry['purpose']}")
        if arguments.action == "list":
            for name, entry in entries["fetch"].items():
                print(f"{name:<20} {entry['size']:>9}  to fetch: {entry['purpose']}")
    return 1 if any(problems.values()) else 0
