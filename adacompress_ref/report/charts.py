"""Small charts as inline SVG. Places are percentages and text is in pixels, so any width fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from .page import key, text

_GRID = 1000  # units of a curve's own coordinates, which are stretched to the chart


def plot(
    title: str,
    curves: Sequence[np.ndarray],
    unit: str,
    names: Mapping[str, str],
    marks: Mapping[float, str],
    below: Mapping[float, str],
    shades: Mapping[str, np.ndarray],
) -> str:
    """Curves, each [columns], over shaded columns, with a caption; NaN leaves a gap.

    The vertical axis goes from 0 to 1, or higher where they do; `unit` formats its numbers. `names`
    are for `key`; `marks` and `below` texts by share of the width; `shades` has opacity [columns]
    by CSS class.
    """
    peak = np.fmax.reduce(np.ravel(curves), initial=1.0)  # of those that are not NaN
    ticks = np.arange(0, peak + 0.5, 0.5).tolist()
    parts = []
    for kind, opacity in shades.items():
        width = 100 / len(opacity)
        edges = [0, *(np.flatnonzero(np.diff(opacity)) + 1).tolist(), len(opacity)]
        for first, last in pairwise(edges):
            if opacity[first] > 0:
                place = f'x="{first * width:.3f}%" width="{(last - first) * width:.3f}%"'
                shade = f'class="{kind}" opacity="{opacity[first]:.2f}"'
                parts.append(f'<rect {place} height="100%" {shade}/>')
    for tick in ticks:
        height = f"{100 * (1 - tick / ticks[-1]):.2f}%"
        parts.append(f'<line class="grid" x2="100%" y1="{height}" y2="{height}"/>')
        parts.append(f'<text class="left" x="-8" y="{height}" dy="4">{unit.format(tick)}</text>')
    for share, step in below.items():
        place = f'x="{100 * share:.2f}%" y="100%" dy="18"'
        parts.append(f'<text class="below" {place}>{text(step)}</text>')
    parts.append(f'<svg viewBox="0 0 {_GRID} {_GRID}" preserveAspectRatio="none">')
    for number, curve in enumerate(curves):
        parts.append(f'<path class="curve-{number}" d="{_path(curve / ticks[-1])}"/>')
    parts.append("</svg>")
    for share, tip in marks.items():
        place = f'cx="{100 * share:.2f}%" cy="100%" r="3.5"'
        parts.append(f"<circle {place}><title>{text(tip)}</title></circle>")
    caption = f"<figcaption><h3>{text(title)}</h3>{key(names)}</figcaption>"
    return f"<figure>{caption}{_svg('plot', title, *parts)}</figure>"


def _svg(kind: str, title: str, *parts: str) -> str:
    """`kind` is a CSS class; the title is what a screen reader says."""
    return f'<svg class="{kind}" role="img"><title>{text(title)}</title>{"".join(parts)}</svg>'


def _path(shares: np.ndarray) -> str:
    """SVG path of shares of the height [columns], one at the middle of each column."""
    places = (np.arange(len(shares)) + 0.5) * _GRID / len(shares)
    path, pen = [], "M"
    for place, share in zip(places, shares, strict=True):
        if np.isfinite(share):  # h0: a dot, where no line follows
            path.append(f"{pen}{place:.1f},{_GRID * (1 - share):.1f}{'h0' * (pen == 'M')}")
        pen = "L" if np.isfinite(share) else "M"
    return "".join(path)


def bar(share: float, title: str) -> str:
    """A horizontal bar over this share of the width."""
    return _svg("bar", title, f'<rect width="{100 * share:.2f}%" height="100%"/>')


def span(shares: Sequence[float], title: str) -> str:
    """An interval and a dot on it: low, middle and high, as shares of the width."""
    low, middle, high = (f"{100 * share:.2f}%" for share in shares)
    line = f'<line x1="{low}" x2="{high}" y1="50%" y2="50%"/>'
    return _svg("span", title, line, f'<circle cx="{middle}" cy="50%" r="3.5"/>')


def round_steps(most: int) -> list[int]:
    """Whole numbers up to `most`, about five, in steps of 1, 2 or 5 times a power of ten."""
    power = 10 ** max(0, int(np.log10(max(1, most / 5))))
    step = next(power * n for n in (1, 2, 5, 10) if 5 * power * n >= most or n == 10)
    return list(range(step, most + 1, step))
