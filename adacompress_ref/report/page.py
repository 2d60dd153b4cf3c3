"""A page of HTML that loads nothing, and its parts. What comes from outside goes through `text`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

from ..storage.files import printable

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2227;--quiet:#5c6870;--rule:#dfe4e7;
--blue:#0067a6;--orange:#bf4c00;--estimate:#0072b224;--retrain:#d55e0038}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e4e9ec;--quiet:#98a5ad;
--rule:#2d353a;--blue:#6db7ec;--orange:#f39a5b;--estimate:#56b4e938;--retrain:#f39a5b50}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:56rem;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
h1{margin:0;font-size:1.65rem;line-height:1.2;font-weight:650;letter-spacing:-.01em}
h2{margin:0 0 .25rem;font-size:1.15rem;font-weight:650}
h3{margin:0;font-size:.95rem;font-weight:600}
p{margin:.25rem 0;max-width:40rem;color:var(--quiet)}
section{margin-top:2.75rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1.25rem 1.5rem;
margin:1.75rem 0 0;padding-top:1.25rem;border-top:2px solid var(--ink)}
.tiles>div{display:flex;flex-direction:column}
dt{color:var(--quiet);font-size:.85rem}
dd{margin:0;color:var(--quiet);font-size:.85rem;line-height:1.35}
dd.value{margin:.1rem 0 .2rem;color:var(--ink);font-size:1.7rem;font-weight:600;line-height:1.2}
.key{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;color:var(--quiet);font-size:.85rem}
.key i{display:inline-block;width:1.1em;height:.75em;margin-right:.4em;background:var(--rule)}
.key .inference{background:none;border:1px solid var(--rule)}
.key .estimate{background:var(--estimate)}.key .retrain{background:var(--retrain)}
.key .curve-0,.key .curve-1{height:2px;margin-bottom:.25em;background:var(--blue)}
.key .curve-1{background:var(--orange)}
.key .mark{width:7px;height:7px;margin-bottom:.05em;border-radius:50%;background:var(--orange)}
figure{margin:1.25rem 0 0}
figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1.1rem}
svg{display:block}
.plot{margin:.6rem 0 1.8rem 2.75rem;width:calc(100% - 2.75rem);height:8rem;overflow:visible}
.plot svg{overflow:visible}
.plot path{fill:none;stroke-width:1.75;stroke-linecap:round;stroke-linejoin:round;
vector-effect:non-scaling-stroke}
path.curve-0{stroke:var(--blue)}path.curve-1{stroke:var(--orange)}
rect.estimate{fill:var(--estimate)}rect.retrain{fill:var(--retrain)}
line.grid{stroke:var(--rule)}
text{fill:var(--quiet);font-size:12px}
text.left{text-anchor:end}text.below{text-anchor:middle}
circle{fill:var(--orange)}
table{border-collapse:collapse;width:100%;margin-top:.75rem}
th,td{padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--rule);text-align:left;
font-weight:400;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--quiet);font-size:.85rem}
.numbers th+th,.numbers td{text-align:right}
.numbers th,.numbers td{white-space:nowrap}.numbers thead th{white-space:normal}
.bars th,.bars td{width:1%;padding-right:1.5rem}.bars tr>:last-child{width:auto;padding:0}
.bar{width:100%;height:.7rem}.bar rect{fill:var(--blue)}
.policies td{width:26%}
.policies th{overflow-wrap:break-word}
.policies small{color:var(--quiet);font-weight:400;white-space:nowrap}
.policies .chosen>*{font-weight:650}
.span{width:calc(100% - 8px);height:10px;margin:2px 4px;overflow:visible}
.span line{stroke:var(--quiet);stroke-width:1.5}
.chosen .span line{stroke:var(--orange)}
.span circle{fill:var(--quiet)}.chosen .span circle{fill:var(--orange)}
.settings{font-size:.88rem}.settings td{overflow-wrap:anywhere}
.settings th,.settings td{padding:.15rem 0}.settings th{width:40%;color:var(--quiet)}
article{margin-top:1.5rem;padding-top:1rem;border-top:1px solid var(--rule);break-inside:avoid}
article h3{overflow-wrap:anywhere}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin-top:.6rem}
.pair figure{margin:0}
img{display:block;width:100%;max-height:22rem;object-fit:contain;object-position:left top}
.pair ol{margin:.35rem 0 0;padding:0;list-style:none;font-size:.88rem}
.pair li{display:flex;justify-content:space-between;gap:.75rem}
.pair li :first-child{overflow-wrap:anywhere}
.pair .best{font-weight:650;color:var(--orange)}
.pair figcaption{margin-top:.35rem;color:var(--quiet);font-size:.85rem}
details{margin-top:.6rem}summary{cursor:pointer;color:var(--blue)}
details img{margin-top:.6rem;max-width:calc(50% - .5rem)}
@media(max-width:36rem){body{padding-top:1.5rem}.pair{gap:.75rem}
.policies>*>*>*{padding-right:.4rem}.policies small{display:block;font-size:.72rem}}
@media print{:root{color-scheme:light}body{padding:0;max-width:none;font-size:9pt}
img{max-height:12rem}p{break-inside:avoid}
figure,tr{break-inside:avoid}h2,h3,p{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
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


def key(entries: Iterable[tuple[str, str]]) -> str:
    """What the colours of a chart mean: CSS class and name."""
    shown = [f'<span><i class="{kind}"></i>{text(name)}</span>' for kind, name in entries]
    return f'<div class="key">{"".join(shown)}</div>'
