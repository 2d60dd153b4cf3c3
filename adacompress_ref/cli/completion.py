"""`adacompress completion`: a script for the shell, made from the parser itself."""

from __future__ import annotations

import argparse
import shlex

from ..services import NAMES
from . import arguments as command_line

_BASH = """\
# completion of adacompress for bash, made by: adacompress completion bash
_adacompress() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=
    # bash takes --preset=paper for three words
    if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if ((COMP_CWORD == 1)); then words="%s"; else
        case "${COMP_WORDS[1]} $before" in
%s
            *) case "${COMP_WORDS[1]} $word" in
%s
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _adacompress adacompress
"""
_ZSH = """\
#compdef adacompress
# completion of adacompress for zsh, made by: adacompress completion zsh
_adacompress() {
    if ((CURRENT == 2)); then
        local -a commands=(
%s
        )
        _describe command commands
        _arguments %s
        return
    fi
    shift words
    ((CURRENT--))
    case $words[1] in
%s
    esac
}
if [[ $funcstack[1] == _adacompress ]]; then _adacompress "$@"; else
    compdef _adacompress adacompress
fi
"""
_FREE = {None, "LIST", "C", "ADDRESS"}  # what no shell can know


def main(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print({"bash": bash, "zsh": zsh}[arguments.shell](command_line.parser()), end="")
    return 0


def bash(top: argparse.ArgumentParser) -> str:
    """The script for bash: files where nothing else is known, which bash itself completes."""
    values, words = [], []
    for name, one in _commands(top).items():
        flags, positional = _split(one)
        for action in flags:
            if action.nargs != 0:
                keys = "|".join(f'"{name} {flag}"' for flag in action.option_strings)
                values.append(f"{' ' * 12}{keys}) {_in_bash(_values(action))};;")
        listed = [word for action in positional for word in action.choices or ()]
        # where files may follow, options after a dash alone
        key = f'"{name} -"*' if positional and not listed else f'"{name} "*'
        listed += [flag for action in flags for flag in action.option_strings]
        words.append(f'{" " * 16}{key}) words="{" ".join(listed)}" ;;')
    first = [*_commands(top), *(flag for each in _split(top)[0] for flag in each.option_strings)]
    return _BASH % (" ".join(first), "\n".join(values), "\n".join(words))


def _in_bash(values: list[str] | str) -> str:
    if isinstance(values, list):
        return f'words="{" ".join(values)}" ' if values else "compopt +o default "
    return "compopt +o default -o dirnames " if values == "folders" else ""


def zsh(top: argparse.ArgumentParser) -> str:
    """The script for zsh, to be sourced or put into a folder of `fpath` as _adacompress."""
    names, cases = [], []
    for name, one in _commands(top).items():
        names.append(f"{' ' * 12}{shlex.quote(f'{name}:{one.description}')}")
        specs = [spec for actions in _split(one) for action in actions for spec in _specs(action)]
        cases.append(f"{' ' * 8}{name}) _arguments {' '.join(specs)} ;;")
    flags = " ".join(spec for action in _split(top)[0] for spec in _specs(action))
    return _ZSH % ("\n".join(names), flags, "\n".join(cases))


def _specs(action: argparse.Action) -> list[str]:
    """One argument as _arguments of zsh takes it, once for each of its names."""
    values = _values(action)
    known = {"files": "_files", "folders": "_files -/"}
    what = known[values] if isinstance(values, str) else f"({' '.join(values)})" if values else " "
    if action.dest == "service":  # the file of onnx:FILE
        what = rf'{{compset -P "*\:" && _files || compadd {" ".join(values)}}}'
    value = f"{action.metavar or action.dest}:{what}"
    if not action.option_strings:
        return [shlex.quote({"+": "*:", "*": "*:", "?": "::"}.get(str(action.nargs), ":") + value)]
    specs = []
    for flag in action.option_strings:
        sign, end = "", ""
        if action.nargs != 0:
            sign = "=" if flag.startswith("--") else "+"
            end = f":*-*:{value}" if action.nargs == "+" else f":{value}"
        text = (action.help or "").replace("[", r"\[").replace("]", r"\]")
        specs.append(f"({' '.join(action.option_strings)}){flag}{sign}[{text}]{end}")
    return [shlex.quote(spec) for spec in specs]


def _values(action: argparse.Action) -> list[str] | str:
    """What an argument may be: words, `files` or `folders`; no words where it is free."""
    if action.choices:
        return [str(each) for each in action.choices]
    if action.type is not None or action.metavar in _FREE:
        return []
    if action.dest == "service":
        names = [name for name in NAMES.split(", ") if ":" not in name]
        return [name for name in names if name in (action.help or "")]
    return "folders" if action.metavar == "DIR" else "files"


def _commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (each for each in top._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


def _split(one: argparse.ArgumentParser) -> tuple[list[argparse.Action], list[argparse.Action]]:
    """Options, and positional arguments."""
    positional = [each for each in one._actions if not each.option_strings]
    return [each for each in one._actions if each.option_strings], positional
