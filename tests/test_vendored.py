"""The package copied into another project, under another name."""

import os
import subprocess
import sys

import pytest

import adacompress_ref
from adacompress_ref.vendor import vendor

PROGRAM = """
import sys
from borrowed.codec import AdaCompress
choice = AdaCompress.load(threads=1).choose(sys.argv[1])
assert not [name for name in sys.modules if name.startswith("adacompress")]
print(choice.encoding, len(choice.payload))
"""


@pytest.fixture
def run(tmp_path, photos):
    """A function that runs the program in a project that holds a copy of the package."""
    (tmp_path / "borrowed").mkdir()
    (tmp_path / "borrowed" / "__init__.py").touch()
    vendor(str(tmp_path / "borrowed" / "codec"), weights=False)

    def program(text, **variables):
        environment = {k: v for k, v in os.environ.items() if k != "ADACOMPRESS_WEIGHTS"}
        environment.update(PYTHONPATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path), **variables)
        return subprocess.run(
            [sys.executable, "-c", text, str(photos / "clock.jpg")],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return program


@pytest.mark.parametrize(
    ("place", "variables"),
    [
        ("borrowed/codec/weights", lambda weights: {}),
        ("weights", lambda weights: {"ADACOMPRESS_WEIGHTS": str(weights)}),
    ],
    ids=["inside", "named"],
)
def test_it_chooses(run, tmp_path, photos, place, variables):
    vendor(str(tmp_path / "borrowed" / "codec"))  # now with weights
    weights = (tmp_path / "borrowed" / "codec" / "weights").rename(tmp_path / place)
    done = run(PROGRAM, **variables(weights))
    choice = adacompress_ref.AdaCompress.load().choose(photos / "clock.jpg")
    assert done.stderr == ""
    assert done.stdout.split() == [choice.encoding, str(len(choice.payload))]


def test_without_weights_it_says_what_is_missing(run, tmp_path):
    done = run(PROGRAM)
    last = done.stderr.strip().splitlines()[-1]
    assert "ArtifactError: weight file agent-tuned.npz is in none of:" in last
    package = tmp_path / "borrowed" / "codec"
    assert f"copy the folder weights/ of this project into {package}, or name it in" in last


def test_its_command_line(run):
    done = run("from borrowed.codec.cli.main import main; main(['compress', '--help'])")
    assert done.returncode == 0
    assert "example: adacompress compress" in done.stdout
