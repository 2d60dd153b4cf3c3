"""Small charts as inline SVG. Places are percentages and text is in pixels, so any width fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np

from .page import text as plain

_GRID = 1000  # units of a curve's own coordinates, which are stretched to the chart


def plot(
    title: str,
    curves: Iterable[np.ndarray],
    ticks: Mapping[float, str],
    *,
    below: Mapping[float, str],
    shades: Mapping[str, np.ndarray],
    marks: Mapping[float, str],
) -> str:
    """Curves, each [columns], over shaded columns; NaN leaves a gap.

    `ticks` are texts by value of the vertical axis, which is from 0 to the last of them; `below`
    and `marks` are texts by share of the width; `shades` has opacity [columns] by CSS class.
    """
    top = max(ticks)
    parts = [f'<svg class="plot" role="img"><title>{plain(title)}</title>']
    for name, opacity in shades.items():
        width = 100 / len(opacity)
        edges = [0, *(np.flatnonzero(np.diff(opacity)) + 1).tolist(), len(opacity)]
        for first, last in pairwise(edges):
            if opacity[first] > 0:
                place = f'x="{first * width:.3f}%" width="{(last - first) * width:.3f}%"'
                shade = f'class="{name}" opacity="{opacity[first]:.2f}"'
                parts.append(f'<rect {place} height="100%" {shade}/>')
    for value, text in ticks.items():
        height = f"{100 * (1 - value / top):.2f}%"
        parts.append(f'<line class="grid" x2="100%" y1="{height}" y2="{height}"/>')
        parts.append(f'<text class="left" x="-8" y="{height}" dy="4">{plain(text)}</text>')
    for share, text in below.items():
        parts.append(
            f'<text class="below" x="{100 * share:.2f}%" y="100%" dy="18">{plain(text)}</text>'
        )
    parts.append(f'<svg viewBox="0 0 {_GRID} {_GRID}" preserveAspectRatio="none">')
    for number, curve in enumerate(curves):
        parts.append(f'<path class="curve-{number}" d="{_path(curve / top)}"/>')
    parts.append("</svg>")
    for share, text in marks.items():
        tip = f"<title>{plain(text)}</title>"
        parts.append(f'<circle cx="{100 * share:.2f}%" cy="100%" r="3.5">{tip}</circle>')
    return "".join(parts) + "</svg>"


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
    shape = f'<rect width="{100 * share:.2f}%" height="100%"/>'
    return f'<svg class="bar" role="img"><title>{plain(title)}</title>{shape}</svg>'


def span(low: float, middle: float, high: float, title: str) -> str:
    """A dot at `middle` on its interval, all as shares of the width."""
    line = f'<line x1="{100 * low:.2f}%" x2="{100 * high:.2f}%" y1="50%" y2="50%"/>'
    dot = f'<circle cx="{100 * middle:.2f}%" cy="50%" r="3.5"/>'
    return f'<svg class="span" role="img"><title>{plain(title)}</title>{line}{dot}</svg>'


def round_steps(most: int, about: int = 5) -> list[int]:
    """Whole numbers up to `most` in steps of 1, 2 or 5 times a power of ten."""
    power = 10 ** max(0, int(np.log10(max(1, most / about))))
    step = next(power * n for n in (1, 2, 5, 10) if power * n * about >= most or n == 10)
    return list(range(step, most + 1, step))
