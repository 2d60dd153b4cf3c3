"""The public names: resolved on first use, and known to type checkers."""

import subprocess
import sys
from pathlib import Path

import pytest

import adacompress_ref as ac

PACKAGE = Path(ac.__file__).parent

OPTIONS = ("--config-file=", "--strict", "--follow-imports=silent", "--ignore-missing-imports")
CALLER = """
import adacompress_ref as ac

class Own:
    def label(self, payload: bytes) -> list[ac.Label]:
        return [ac.Label("cat", 0.9)]

class Wrong:
    def label(self, payload: bytes) -> list[str]:
        return ["cat"]

reveal_type(ac.AdaCompress.load)
reveal_type(ac.train)
pilot = ac.AdaCompress.load()
reveal_type(pilot.upload("photo.jpg", Own()).labels[0].score)
pilot.upload("photo.jpg", Wrong())
ac.Nonsense
"""


def test_type_checkers_know_the_names(tmp_path):
    pytest.importorskip("mypy", reason="the extra `dev` installs mypy")
    (tmp_path / "caller.py").write_text(CALLER, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *OPTIONS, str(tmp_path / "caller.py")],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    load, train, score, wrong, *_, nonsense = [
        line.partition("caller.py:")[2] for line in done.stdout.splitlines() if "caller.py:" in line
    ]
    assert "-> adacompress_ref.running.pilot.AdaCompress" in load
    assert "agent: adacompress_ref.core.roles.Agent" in train
    assert '"float"' in score
    assert 'incompatible type "Wrong"; expected "Service"' in wrong  # and Own is one
    assert 'has no attribute "Nonsense"' in nonsense


def test_names_resolve():
    names = ["ImageError", "ServiceError", "AgentError", "ArtifactError", "ModelError"]
    names += ["TableError", "StateError", "Service", "Upload", "train", "evaluate"]
    names += ["save", "load", "load_keras", "new_agent", "monitor_of", "view_of", "preset", "study"]
    assert set(names) < set(dir(ac))
    for name in ac.__all__:
        assert getattr(ac, name)
    assert ac.train.__module__ == "adacompress_ref.core.training"
    with pytest.raises(AttributeError, match="Nonsense"):
        ac.Nonsense  # noqa: B018
