"""One's own service, MODULE:CLASS, as the commands take it."""

import json
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from adacompress_ref.cli import main as cli
from adacompress_ref.services import AuthenticationError, ServiceError, is_label, open_service

MODULE = """
from adacompress_ref import AuthenticationError, Label

class Mine:
    def label(self, payload):
        return [Label("small" if len(payload) < 20000 else "large", 0.75), Label("thing", 0.5)]

class Wants:
    def __init__(self, key):
        pass

class Fails:
    def __init__(self):
        raise AuthenticationError("mine: no key; set MY_KEY")

class Other:
    label = "none"
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of modules, with names that no other test has imported."""
    folder = tmp_path / "modules"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (folder / "ac_own.py").write_text(MODULE)
    (folder / "ac_needs.py").write_text("import ac_is_nowhere\n")
    (folder / "ac_broken.py").write_text("def\n")
    (folder / "ac_script.py").write_text("import sys\nsys.exit(0)\n")
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("ac_"):
            del sys.modules[name]


@pytest.mark.parametrize("here", [True, False])
def test_every_command_that_asks_a_service_takes_it(adacompress, few, modules, monkeypatch, here):
    service = ["--service", "ac_own:Mine"]
    if here:
        monkeypatch.chdir(modules)  # the folder one is in
    else:
        service += ["--app-dir", str(modules)]
    status, out, err = adacompress("run", "--images", few, *service, "--json")
    assert status == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["labels"][1][0] for line in lines if "labels" in line} == {"thing"}
    images = ("--images", few, *service)
    status, out, err = adacompress("label", *images, "-o", "t.npz", "--json", "--workers", 2)
    assert status == 0, err
    assert json.loads(out)["service"] == "ac_own:Mine"
    assert json.loads(out)["images"] == 3
    status, _, err = adacompress("train", *images, "-o", "a.npz", "--steps", 3)
    assert status == 0, err


@pytest.mark.parametrize(
    ("service", "named"),
    [
        ("ac_is_not_there:X", "module ac_is_not_there: ModuleNotFoundError"),
        ("ac_needs:X", "module ac_needs: ModuleNotFoundError, No module named 'ac_is_nowhere'"),
        ("ac_broken:X", "module ac_broken: SyntaxError"),
        ("ac_script:X", "module ac_script: SystemExit"),
        ("ac_own:Absent", "module ac_own: AttributeError"),
        ("ac_own:Wants", "module ac_own: TypeError"),
        ("ac_own:Other", "module ac_own: TypeError, Other has no label(payload)"),
        ("..ac_own:Mine", "module ..ac_own: TypeError"),
        (":Mine", "module : ValueError"),
    ],
)
def test_what_fails_is_one_line_that_names_the_module(adacompress, modules, few, service, named):
    options = ("--images", few, "--service", service, "--app-dir", modules)
    status, out, err = adacompress("run", *options)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"adacompress: {named}") and "--debug" in line


def test_its_traceback_with_debug(modules, few, capsys):
    options = ["run", "--images", str(few), "--service", "ac_needs:X", "--app-dir", str(modules)]
    assert cli.main([*options, "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and 'ac_needs.py", line 1' in err
    assert err.splitlines()[-1].startswith("adacompress: module ac_needs: ")


def test_its_own_errors_are_passed_on(modules):
    sys.path.insert(0, str(modules))
    with pytest.raises(AuthenticationError, match="MY_KEY"):
        open_service("ac_own:Fails")


def test_the_folder_one_is_in_is_for_ones_own_alone(adacompress, tmp_path, few, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    adacompress("run", "--images", few, "--service", "onnx:none.onnx")
    assert str(tmp_path) not in sys.path


def test_names_that_are_none():
    for name in ("openai", "onnx:", "recorded:", "nothing"):
        with pytest.raises(ServiceError, match="MODULE:CLASS"):
            open_service(name)


@pytest.mark.parametrize("score", [10**400, -(10**400), float("nan"), 1.1, "0.5", None, 1 + 0j])
def test_what_is_no_score_is_no_label(score):
    assert not is_label(SimpleNamespace(name="cat", score=score))


@pytest.mark.parametrize("score", [0, 1, True, 0.5, 1 + 1e-7, Fraction(1, 3), np.float32(1)])
def test_what_is_a_score(score):
    assert is_label(SimpleNamespace(name="cat", score=score))


@pytest.mark.parametrize("name", ["http://127.0.0.1:1", "ac_own:a-b", "ac_own:"])
def test_what_is_no_name_of_a_class_is_no_module(modules, name):
    with pytest.raises(
        ServiceError, match=r"^service '.*' is not known; there are: squeezenet"
    ) as error:
        open_service(name)
    assert ("like BAIDU_ENDPOINT" in str(error.value)) == ("//" in name)
