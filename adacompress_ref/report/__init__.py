"""A run or an evaluation as one page: figures, charts, disagreements, settings."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..running import runlog
from ..tables.evaluation import MEASURED
from . import charts, timeline
from .page import page, picture, section, table, text, tiles

LINKS = (1, 5, 20, 100)  # Mbit/s


@dataclass(frozen=True)
class Case:
    """A disagreement: its line of the log, and JPEG pictures as far as they could be made."""

    line: dict[str, Any]
    reference: bytes | None = None
    compressed: bytes | None = None
    heat: bytes | None = None
    verdict: str = ""  # in words, where nothing in the heat speaks for the level


def disagreements(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines that lost the reference's best label, first those where it was surest of that."""
    lost = [line for line in lines if line["error"] is None and line["agreement"] == 0]
    return sorted((line for line in lost if line["labels"]), key=lambda line: -line["labels"][0][1])


def break_even(totals: dict[str, Any]) -> float | None:
    """Bandwidth in Mbit/s above which deciding takes longer than sending the bytes saved.

    Of a run's totals, by the median decision; 0 where no byte is saved, None where none was timed.
    """
    sent = totals["images"] - totals["failed"]
    if not sent or not totals["seconds"].get("decision", {}).get("p50"):
        return None
    saved = (totals["reference_bytes"] - totals["bytes_sent"]) / sent
    return float(max(0.0, saved * 8 / 1e6 / totals["seconds"]["decision"]["p50"]))


def of_run(
    lines: list[dict[str, Any]],
    times: list[dict[str, Any]],
    settings: dict[str, Any],
    cases: Sequence[Case] = (),
    totals: dict[str, Any] | None = None,
) -> str:
    """The page of a run, of lines that `runlog.check` has passed, and of its settings.

    `totals` are also of images whose lines are gone; by default those of the lines.
    """
    totals = totals or runlog.summary(lines, times)
    sent = [line for line in lines if line["error"] is None]
    sections = [_totals(totals)]
    if sent:
        sections += [timeline.section_of(sent), _levels(sent), _links(totals)]
    if cases:
        sections.append(_cases(cases, len(disagreements(lines)), totals["measured"]))
    if settings:
        sections.append(_settings(settings))
    service = f" for {settings['service']}" if "service" in settings else ""
    return page("AdaCompress run", f"{totals['images']:,} images{service}", sections)


def of_evaluation(found: dict[str, Any]) -> str:
    """The page of what `evaluate` returned; raises KeyError, TypeError, ValueError for others."""
    policies = found["policies"]
    names = ["scale", *(text(policy["name"]) for policy in policies)]
    rows = zip(names, *(_measured(policies, name) for name in MEASURED), strict=True)
    chosen_on = found.get("best_fixed_chosen_on", "unknown images")  # by 0.1.0
    images, gap = f"{_number(found['images']):,.0f}", found["gap_captured"]
    figures = [
        ("Images", images, f"{_number(found['unlabelled']):,.0f} of them without a label"),
        ("Bytes saved", f"{_number(found['saving_vs_fixed']):.1%}", "by the agent, against fixed "
         "levels of the same agreement"),
        ("Gap captured", "none" if gap is None else f"{_number(gap):.1%}",
         f"from the best fixed level, {found['best_fixed']}, chosen on {chosen_on}, to the oracle"),
    ]  # fmt: skip
    about = (
        "Means and their 95% intervals over the same images: where those overlap, the difference "
        "may yet be sure. Size ratio is the mean of the images' ratios to quality 75, reward alpha "
        "times agreement, less size ratio; the oracle is the best level of each image, known "
        "afterwards. Where levels are never smaller than the reference, it is sent: rows repeat."
    )
    head = ("policy", *(name.replace("_", " ") for name in MEASURED))
    shown = table("policies", head, rows, "agent")
    settings = {name: found[name] for name in ("service", "preset", "alpha", "best_fixed")}
    sections = [tiles(figures), section("Policies", about, shown), _settings(settings)]
    return page("AdaCompress evaluation", f"{images} images for {found['service']}", sections)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e9:
        raise ValueError(f"{value!r:.40} is no number")
    return float(value)


def _size(count: float) -> str:
    """Bytes in units of 1,000."""
    for unit in ("bytes", "KB", "MB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def _measured(policies: list[dict[str, Any]], name: str) -> list[str]:
    """Cells of a column: a scale, then each mean, its interval in small, and both on the scale."""
    ends = [_number(end) for policy in policies for end in policy["intervals"][name]]
    least, most = math.floor(10 * min(ends)) / 10, math.ceil(10 * max(ends)) / 10
    width = (most - least) or 1.0
    cells = [f'<div class="scale"><span>{least:g}</span><span>{least + width:g}</span></div>']
    for policy in policies:
        low, high = policy["intervals"][name]
        mean, interval = f"{_number(policy[name]):.3f}", f"{low:.3f}–{high:.3f}"
        shares = [(value - least) / width for value in (low, policy[name], high)]
        drawn = charts.span(shares, f"{policy['name']}: {mean} {interval}")
        cells.append(f"{mean} <small>{interval}</small>{drawn}")
    return cells


def _totals(totals: dict[str, Any]) -> str:
    states = ", ".join(f"{count:,} {name}" for name, count in sorted(totals["states"].items()))
    for name in ("failed", "waiting", "put_aside", "gone", "faults", "unlabelled"):
        states += f"; {totals[name]:,} {name.replace('_', ' ')}" if totals.get(name) else ""
    figures = [("Images", f"{totals['images']:,}", states)]
    if totals["reference_bytes"]:
        sent, reference = totals["bytes_sent"], totals["reference_bytes"]
        agreement, kept = "-", "not measured: no estimate yet"
        if totals["measured"]:
            low, high = runlog.interval(totals["agreement"], totals["measured"])
            agreement = f"{totals['agreement']:.3f}"
            kept = f"with quality 75, in {totals['measured']:,} measured; 95% interval "
            kept += f"{low:.3f} to {high:.3f}"
        figures += [
            ("Bytes sent", f"{totals['net_size_ratio']:.1%}", "of always quality 75: "
             f"in sum {_size(sent)} of {_size(reference)}, references included; "
             f"{sent / totals['original_bytes']:.1%} of the files as they were"),
            ("Compressed uploads", f"{totals['size_ratio']:.1%}",
             "of quality 75: the mean of the images' ratios, without references"),
            ("Agreement", agreement, kept),
        ]  # fmt: skip
    if floor := totals["asked_again"]:
        low, high = floor["quality_95"]["interval"]
        same = f"{floor['identical']['share']:.3f} of the same bytes"
        note = (
            f"best labels of {floor['references']:,} references asked again, kept at quality 95; "
        )
        note += f"95% interval {low:.3f} to {high:.3f}; {same}"
        figures.append(("Floor", f"{floor['quality_95']['share']:.3f}", note))
    return tiles(figures)


def _levels(sent: list[dict[str, Any]]) -> str:
    """A histogram of the encodings chosen, their numbers in order."""
    counts = Counter(line["encoding"] for line in sent)
    most, rows = max(counts.values()), []
    for name in sorted(counts, key=lambda name: re.sub("[0-9]+", lambda n: n[0].zfill(6), name)):
        share = f"{counts[name] / len(sent):.1%}"
        drawn = charts.bar(counts[name] / most, f"{name}: {share}")
        rows.append([text(name), f"{counts[name]:,}", share, drawn])
    shown = table("numbers bars", ["level", "images", "share", ""], rows)
    return section("Levels chosen", "", shown)


def _links(totals: dict[str, Any]) -> str:
    """Net bytes as time on links of several bandwidths, the decision included."""
    even = break_even(totals)
    if even is None:
        return section("Break-even", "Not known: no times.jsonl with decisions is beside this log.")
    sent = totals["images"] - totals["failed"]
    reference, ours = (totals[name] / sent for name in ("reference_bytes", "bytes_sent"))
    decision = 1000 * totals["seconds"]["decision"]["p50"]
    about = (
        f"Deciding takes {decision:.1f} ms in the median and saves {_size(reference - ours)} an "
        f"image, references counted. {f'Above {even:.3g} Mbit/s' if even else 'On any link'} it "
        "takes longer than sending those. An image takes, in the mean:"
    )
    rows = []
    for link in LINKS:
        always, here = (size * 8 / 1e3 / link for size in (reference, ours))  # ms
        rows.append([f"{link} Mbit/s", f"{always:,.1f} ms", f"{here + decision:,.1f} ms"])
    shown = table("numbers", ["link", "always quality 75", "this run, decision included"], rows)
    return section("Break-even", about, shown)


def _cases(cases: Sequence[Case], lost: int, measured: int) -> str:
    about = (
        f"{lost:,} of {measured:,} measured images lost the reference's best label. "
        "Shown are those where the service was surest of it."
    )
    return section("Worst disagreements", about, *map(_case, cases))


def _case(case: Case) -> str:
    """Both uploads of an image side by side, with their labels; the heat map on a click."""
    line, figures, heat = case.line, "", ""
    best = line["labels"][0][0]
    for upload, size, labels, jpeg in (
        ("reference", line["reference_bytes"], line["labels"], case.reference),
        (line["encoding"], line["bytes"], line["compressed_labels"] or [], case.compressed),
    ):
        shown = picture(jpeg, f"{line['image']}, {upload}") if jpeg else ""
        shown += f"<figcaption>{text(upload)}, {_size(size)}</figcaption><ol>"
        for label, score in labels:
            kind = ' class="best"' if label == best else ""
            shown += f"<li{kind}><span>{text(label)}</span><span>{score:.3f}</span></li>"
        figures += f"<figure>{shown}</ol></figure>"
    if case.heat:
        meaning = case.verdict or "orange speaks for this level"
        shown = f"<summary>Heat map: {text(meaning)}, blue against it</summary>"
        shown += picture(case.heat, f"{line['image']}, heat map")
        heat = f"<details>{shown}</details>"
    name = text(line["image"])
    return f'<article><h3>{name}</h3><div class="pair">{figures}</div>{heat}</article>'


def _settings(settings: dict[str, Any]) -> str:
    rows = []
    for name, value in settings.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        rows.append([text(name), "-" if shown in (None, "") else text(shown)])
    return section("Settings", "", table("settings", [], rows))
