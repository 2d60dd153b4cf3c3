"""Make the completion scripts that the package ships: `python tests/cli/make_completion.py`."""

import re
import sys
from pathlib import Path

import shtab

ROOT = Path(__file__).resolve().parents[2]
SERVICES = (
    "squeezenet",
    "rekognition",
    "baidu",
    "facepp",
    "google",
    "openai",
)  # those that need no file
FREE = {None, "LIST", "C", "ADDRESS", "NAME"}  # what no shell can know
FILE = {"bash": "", "zsh": "_files"}  # left to bash itself, which takes any name
BASH = """
_adacompress() {  # bash takes --preset=paper for three words
    local word words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        [[ $word == = ]] || words+=("$word")
    done
    [[ ${COMP_WORDS[COMP_CWORD]} != = ]] || words+=("")
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1))
    _shtab_adacompress
}
complete -o bashdefault -o default -F _adacompress adacompress
"""
ZSH = {  # what shtab writes, and what zsh needs
    r'^  "(--[\w-]+)(?=\[.*\]:)': r'  "\1=',  # --preset=paper
    r'^  "\(\*\):+': '  "*:',  # any number of images
    r"\[-1\] == eval": "[-1] != loadautofunc",  # in ~/.zshrc, as well as in a folder of fpath
}


def script(shell):
    """The script for bash or zsh, made from the parser."""
    from adacompress_ref.cli.arguments import parser

    top = parser()
    (commands,) = (action for action in top._actions if action.dest == "command")
    for command in commands.choices.values():
        for action in command._actions:
            if action.dest == "service":
                action.complete = _service([name for name in SERVICES if name in action.help])
            elif action.metavar == "DIR":
                action.complete = shtab.DIRECTORY
            elif action.type is None and action.metavar not in FREE:
                action.complete = FILE
            if action.option_strings and action.nargs == "+" and shell == "zsh":
                action.metavar = f"*-*:{action.metavar}"  # files up to the next option
    made = shtab.complete(top, shell)
    if shell == "bash":
        return made + BASH
    for pattern, needed in ZSH.items():
        made = re.sub(pattern, needed, made, flags=re.MULTILINE)
    return made


def _service(names):
    """Names, and in zsh the file of onnx:FILE too."""
    names = " ".join(names)
    zsh = rf"{{compset -P \"*\\:\" && _files || compadd {names}}}"
    return {**shtab.cmd(f"echo {names}"), "zsh": zsh}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for shell in ("bash", "zsh"):
        path = ROOT / "adacompress_ref" / "cli" / f"completion.{shell}"
        path.write_text(script(shell), encoding="utf-8")
