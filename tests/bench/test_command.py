"""Rooms: what they have is there, and those named run one after another."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import command

ROOT = Path(__file__).parents[2]
ROOMS = ("speed", "paper", "robustness", "tour")


def run(*arguments):
    call = [sys.executable, "-m", *arguments]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("room", ROOMS)
def test_help_says_what_a_room_has(room):
    done = run(f"bench.{room}", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    names = re.findall(r"^  (\w+) +\S.+$", done.stdout.partition("\nbenches:\n")[2], re.MULTILINE)
    assert len(names) >= 3
    for name in names:
        assert (ROOT / "bench" / room / f"{name}.py").exists()
    for path in (ROOT / "bench" / room).glob("[!_]*.py"):
        assert path.stem in names or '__name__ == "__main__"' not in path.read_text("utf-8")
    assert ("--json" in done.stdout) == (room != "tour")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "bench").glob("[!_]*/[!_]*.py")), ids=lambda path: path.stem
)
def test_every_bench_of_a_room_says_its_options(path):
    done = run(f"bench.{path.parent.name}.{path.stem}", "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bench_that_is_not_there_is_named():
    done = run("bench.paper", "replay_trace", "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "none: must be one of replay_trace, keras_parity" in done.stderr


def test_what_is_measured_has_options(capsys):
    def measure(kills, error_rate):
        return {"kills": kills, "rate": error_rate}

    def reported(*arguments):
        defaults = {"kills": 3, "error_rate": 0.5}
        report = command.reported("x", "Of x.", measure, arguments, **defaults)
        printed = capsys.readouterr().out
        assert json.loads(printed) == report
        return *report.values(), printed.count("\n")

    assert reported() == (3, 0.5, 4)
    assert reported("--error-rate", "1", "--json") == (3, 1.0, 1)
    with pytest.raises(SystemExit):
        reported("--kills", "1.5")


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package of three benches: what they print, and their exit statuses."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "__init__.py").write_text('"""Made up."""\n')
    for name, status in (("fine", 0), ("worse", 2), ("bad", 1)):
        lines = f'"""Bench {name}."""', "import sys", f'print("{name}", *sys.argv[1:])'
        code = "\n".join([*lines, f"sys.exit({status})"])
        (tmp_path / "fake" / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda *arguments, **how: command.room(
        "fake", ("fine", "worse", "bad"), list(arguments), **how
    )


@pytest.mark.parametrize(
    ("arguments", "printed", "status"),
    [
        ((), "fine\nworse\nbad\n", 2),
        (("bad", "fine", "--json"), "bad --json\nfine --json\n", 1),
        (("fine",), "fine\n", 0),
    ],
)
def test_those_named_run_in_their_order(room, capfd, arguments, printed, status):
    assert room(*arguments) == status
    assert capfd.readouterr().out == printed


def test_where_there_is_no_json_it_is_refused(room, capsys):
    with pytest.raises(SystemExit) as end:
        room("fine", "--json", as_json=False)
    assert end.value.code == 2 and "--json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "document",
    [
        *("README.md", "CONTRIBUTING.md", "bench/RESULTS.md", "weights/manifest.json"),
        *(f"adacompress_ref/{page}" for page in ("DIFFERENCES.md", "core/README.md")),
        *(f"adacompress_ref/{page}" for page in ("cli/README.md", "services/README.md")),
    ],
)
def test_commands_that_documents_name_exist(document):
    text = (ROOT / document).read_text("utf-8")
    named = re.findall(r"(?:python\s-m |^\| `)(bench[\w.]*\w)", text, re.MULTILINE)
    assert named
    for name in named:
        assert importlib.util.find_spec(name), name
