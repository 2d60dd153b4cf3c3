"""`adacompress completion`: shtab makes its scripts, the shells themselves judge them."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from adacompress_ref.cli.arguments import parser

SHELLS = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
COMMANDS = next(action.choices for action in parser()._actions if action.dest == "command")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_those_of_the_parser(adacompress, shell):
    pytest.importorskip("shtab", reason="the extra `dev` installs shtab")
    from cli.make_completion import script

    status, printed, _ = adacompress("completion", shell)
    assert status == 0
    assert printed == script(shell), "make them anew: python tests/cli/make_completion.py"


@pytest.fixture(params=SHELLS)
def shell(request, adacompress, tmp_path):
    """A function that types a command at a shell that has read its script, and has its last word.

    The shell works in a folder that holds a folder and a file.
    """
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    status, script, _ = adacompress("completion", request.param)
    assert status == 0
    (tmp_path / "script").write_text(script)
    (tmp_path / "photos" / "my night").mkdir(parents=True)
    (tmp_path / "photos" / "my agent.npz").touch()
    terminal, its = pty.openpty()
    process = subprocess.Popen(
        [request.param, *SHELLS[request.param]],
        **{"stdin": its, "stdout": its, "stderr": its, "start_new_session": True},
        env={**os.environ, "TERM": "dumb", "INPUTRC": os.devnull, "HOME": str(tmp_path)},
    )
    os.close(its)

    def type_(keys):
        os.write(terminal, keys.encode())
        seen, end = "", time.monotonic() + 20
        while not (found := re.search("<([^<>]*)>", seen)):
            assert time.monotonic() < end, seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 65536).decode()
        return found[1]

    start = "autoload -Uz compinit; compinit -D; " if request.param == "zsh" else ""
    type_(
        start
        + "source ./script; adacompress() { printf '\\074%s\\076' \"${@: -1}\"; }; adacompress\r"
    )
    yield type_
    process.kill()
    process.wait()
    os.close(terminal)


def test_what_is_typed_is_completed(shell):
    for typed, last in {
        "eval": "evaluate",
        "run --im": "--images",
        "run --preset lad": "ladder",
        "run --preset=lad": "--preset=ladder",
        "run --service rek": "rekognition",
        "run --service onnx:photos/my\\ a": "onnx:photos/my agent.npz",
        "serve --service s": "squeezenet",
        "weights ver": "verify",
        "completion ba": "bash",
        "compress --keep-e": "--keep-exif",
        "compress photos/my\\ a": "photos/my agent.npz",
        "compress a.jpg photos/my\\ a": "photos/my agent.npz",
        "compress --output photos/my": "photos/my night",  # a folder, not the file
        "compress --dest photos/my": "photos/my night",
        "compress --files-from photos/my\\ a": "photos/my agent.npz",
        "compress --tot": "--totals",
        "train --table a.npz photos/my\\ a": "photos/my agent.npz",
        "evaluate --agent photos/my\\ a": "photos/my agent.npz",
    }.items():
        assert shell(f"adacompress {typed}\t\r").rstrip("/") == last


BASH = """
source ./script
COMP_WORDS=({}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_adacompress
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def offered(adacompress, tmp_path):
    """A function that says what bash offers for the last of some words, quoted for it."""
    (tmp_path / "script").write_text(adacompress("completion", "bash")[1])

    def offered(words):
        done = subprocess.run(["bash", "-c", BASH.format(words)], capture_output=True, text=True)
        return done.stdout.split()

    return offered


def test_every_command_is_offered(offered):
    assert offered("adacompress ''") == [*COMMANDS]
    assert offered("adacompress -") == ["-h", "--help", "--version"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_offered(offered, name):
    flags = [flag for action in COMMANDS[name]._actions for flag in action.option_strings]
    assert offered(f"adacompress {name} -") == flags


def test_services_are_offered_that_need_no_file(offered):
    names = ["squeezenet", "rekognition", "baidu", "facepp", "google", "openai"]
    assert offered("adacompress label --service ''") == names
    assert offered("adacompress run --service = re") == ["rekognition"]
    assert offered("adacompress run --service onnx : mod") == []  # a file: left to bash
    assert offered("adacompress serve --service ''") == ["squeezenet"]


def test_an_unknown_shell(adacompress):
    status, _, err = adacompress("completion", "fish")
    assert status == 2
    assert "choose from" in err
