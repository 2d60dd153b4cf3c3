"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Same examples on every run and on every machine, and no limit that a busy machine can break.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, max_examples=60
)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared():
    """The folder of golden data and photographs, which is not part of the repository."""
    named = os.environ.get("ADACOMPRESS_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no golden data: set ADACOMPRESS_TEST_DATA to their folder")
    return folder
