"""`adacompress weights`: what is there, is it whole, get another."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from ..storage import artifacts
from ..storage.artifacts import ArtifactError
from ..storage.files import save_atomically


def main(arguments: argparse.Namespace) -> int:
    """What is there, is it whole, get another."""
    if arguments.action == "fetch":
        if not arguments.name:
            raise ValueError(f"fetch: name one of {', '.join(manifest()['fetch'])}")
        print(fetch(arguments.name))
        return 0
    entries = manifest()
    problems = dict(verify()) if arguments.action == "verify" else {}
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


def manifest() -> dict[str, Any]:
    """The shipped manifest: `files` that are here, `fetch` for files that can be had.

    Raises ArtifactError if it cannot be read.
    """
    path = artifacts.find("manifest.json")
    try:
        content = json.loads(path.read_text("utf-8"))
        return {name: dict(content[name]) for name in ("files", "fetch")}
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged ({error!r}); install the package anew") from error


def verify() -> Iterator[tuple[str, str | None]]:
    """Each file of the manifest with None if it is whole, else with what is wrong."""
    for name, entry in sorted(manifest()["files"].items()):
        try:
            path = artifacts.find(name)
            whole = artifacts.sha256(path) == entry["sha256"]
            problem = None if whole else f"{path}: SHA-256 differs"
        except ArtifactError as error:
            problem = str(error)
        yield name, problem


def fetch(name: str) -> Path:
    """Download a file that the manifest names into the cache folder, check it, return its path.

    A sidecar is written beside it. Raises ArtifactError; nothing unchecked is moved into place.
    """
    entries = manifest()["fetch"]
    if name not in entries:
        raise ArtifactError(
            f"{name}: not a file that can be fetched; there are: {', '.join(entries)}"
        )
    entry = entries[name]
    path = artifacts.cache_folder() / entry["file"]
    if not (path.is_file() and artifacts.sha256(path) == entry["sha256"]):
        _download(name, entry, path)
    if "sidecar" in entry:
        save_atomically(path.with_name(f"{path.name}.json"), json.dumps(entry["sidecar"]).encode())
    return path


def _download(name: str, entry: dict[str, Any], path: Path) -> None:
    if os.environ.get("ADACOMPRESS_OFFLINE") == "1":
        raise ArtifactError(f"{name}: ADACOMPRESS_OFFLINE=1 forbids downloading it")
    try:
        response = requests.get(entry["url"], timeout=60)
        response.raise_for_status()
    except requests.RequestException as error:
        raise ArtifactError(f"{name}: the download failed ({type(error).__name__})") from error
    if hashlib.sha256(response.content).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{name}: what was downloaded has another SHA-256 than the manifest's")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_atomically(path, response.content)
