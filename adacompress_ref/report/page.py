"""A page of HTML that loads nothing, and its parts. What comes from outside goes through `text`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from ..storage.files import printable

_STYLE = Path(__file__).with_name("style.css").read_text("utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; img-src data:; style-src 'sha256-{_HASH}'; form-action 'none'"


def text(value: object) -> str:
    """What stands in a page as it is, whatever it holds."""
    return escape(printable(str(value)))


def page(title: str, about: str, sections: Iterable[str]) -> str:
    """The whole file; `about` is a line below the title, both from outside."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(title)}</title><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head>\n<body><header><h1>{text(title)}</h1>"
        f"<p>{text(about)}</p></header>\n<main>" + "\n".join(sections) + "</main></body></html>\n"
    )


def section(title: str, about: str, *parts: str) -> str:
    """A heading, a sentence from outside or none, and HTML."""
    said = f"<p>{text(about)}</p>" if about else ""
    return f"<section><h2>{text(title)}</h2>{said}{''.join(parts)}</section>"


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Figures to see first: name, value, what is to be said of it; all from outside."""
    shown = [
        f'<div><dt>{text(name)}</dt><dd class="value">{text(value)}</dd><dd>{text(note)}</dd></div>'
        for name, value, note in entries
    ]
    return f'<dl class="tiles">{"".join(shown)}</dl>'


def table(kind: str, head: Sequence[str], rows: Iterable[Sequence[str]], chosen: str = "") -> str:
    """Rows of cells of HTML, the first of which names its row; the row `chosen` is set off."""
    body = []
    for name, *cells in rows:
        row = '<tr class="chosen">' if name == chosen else "<tr>"
        cells = [f"<td>{cell}</td>" for cell in cells]
        body.append(f'{row}<th scope="row">{name}</th>{"".join(cells)}</tr>')
    names = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f'<table class="{kind}">{top}<tbody>{"".join(body)}</tbody></table>'


def picture(jpeg: bytes, title: str) -> str:
    """An image within the page; `title` is from outside."""
    data = base64.b64encode(jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{text(title)}">'


def key(names: Mapping[str, str]) -> str:
    """What the colours of a chart mean: names by CSS class."""
    shown = [f'<span><i class="{kind}"></i>{text(name)}</span>' for kind, name in names.items()]
    return f'<div class="key">{"".join(shown)}</div>'
