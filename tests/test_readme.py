"""The README does what it says: its examples print what stands below them."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from adacompress_ref.cli import main as cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_the_python_examples_print_what_stands_below_them(monkeypatch):
    monkeypatch.chdir(ROOT)
    examples = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.DOTALL)
    assert len(examples) == README.count("```python")
    names: dict = {}
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == expected


def test_the_first_command_prints_what_stands_below_it(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT)
    command = re.search(r"adacompress (run .*) --state first-run", README)[1]
    assert cli.main([*command.split(), "--state", str(tmp_path / "state")]) == 0
    printed = capsys.readouterr().out
    assert printed in README


def test_the_way_to_an_agent_of_ones_own(monkeypatch, capsys, tmp_path, photos, photo_table):
    shutil.copytree(photos, tmp_path / "tests" / "photos")
    shutil.copy(photo_table, tmp_path / "photos.npz")  # label goes on where it stopped
    monkeypatch.chdir(tmp_path)
    commands = re.search(r"```bash\n(.*?)```", README, re.DOTALL)[1].splitlines()
    for command, name in zip(commands, ("label", "train", "evaluate"), strict=True):
        program, *arguments = command.split()
        assert (program, arguments[0]) == (".venv/bin/adacompress", name)
        assert cli.main([*arguments, *(["--steps", "20"] if name == "train" else [])]) == 0
    assert "oracle" in capsys.readouterr().out


def test_every_command_is_in_the_table_of_commands_and_can_be_read():
    commands = cli.parser()._subparsers._group_actions[0].choices
    assert {name for name in commands if f"\n| `{name} " in README} == set(commands)
    for line in re.findall(r"^(?:\.venv/bin/)?adacompress (.*)$", README, re.MULTILINE):
        cli.parser().parse_args(line.split())


def test_two_commands_do_all_the_set_up():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [len(block.splitlines()) for block in blocks[:2]] == [1, 1]


WHOLE = ("services", "server", "report", "cli")  # rooms whose files are not listed one by one
ROOMS = sorted(path.parent.name for path in (ROOT / "adacompress_ref").glob("*/__init__.py"))


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_room_and_every_file_is_in_the_table_of_files(room):
    files = README[README.index("## Files") : README.index("## Presets")]
    lines = [line for line in files.splitlines() if line.startswith("|")]
    rows = [line for line in lines if f"`{room}/`" in line] if room else [files]
    assert len(rows) == 1
    if room not in WHOLE:
        for path in (ROOT / "adacompress_ref" / room).glob("[a-z]*.py"):
            assert f"`{path.name}`" in rows[0], path


def test_it_can_be_read_in_one_sitting():
    assert len(README.splitlines()) <= 300
