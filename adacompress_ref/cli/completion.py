"""`adacompress completion`: the script for a shell, which shtab makes before a release."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(Path(__file__).with_name(f"completion.{arguments.shell}").read_text("utf-8"), end="")
    return 0
