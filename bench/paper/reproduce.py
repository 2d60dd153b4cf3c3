"""The paper's figures on real photographs and local services.

`python -m bench.paper.reproduce [--only NAME ...] [--data DIR] [--output DIR] [--draw] [--json]`
writes NAME.json and, where matplotlib is installed (extra `plot`), NAME.png. `--draw` makes the
pictures again from the JSON that is there; `--json` prints all of it too. Classifiers come first,
from `python -m bench.models`; tables are made where they are missing (`bench.tables`) and kept, as
are the choices of trained agents.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adacompress_ref.storage.files import save_atomically

from ..command import parser
from ..tables import Missing
from .figures import latency, levels, photographs, recorded, services, streams
from .figures.common import Bench

RESULTS = Path(__file__).resolve().parents[1] / "results"
Measure = Callable[[Bench], dict[str, Any]]
FIGURES: dict[str, tuple[Measure, Callable[..., Any]]] = {
    "motivation": (levels.motivation, levels.draw_motivation),
    "figure_5": (levels.figure_5, levels.draw_figure_5),
    "figure_6": (levels.figure_6, levels.draw_figure_6),
    "figure_8": (streams.figure_8, streams.draw_figure_8),
    "figure_9": (services.figure_9, services.draw_figure_9),
    "figure_10": (streams.figure_10, streams.draw_figure_10),
    "latency": (latency.latency, latency.draw_latency),
    "slides": (photographs.slides, photographs.draw_slides),
    "top_five": (photographs.top_five, photographs.draw_top_five),
    "deeper": (services.deeper, services.draw_deeper),
    "real_services": (recorded.real_services, recorded.draw_real_services),
    "quantisation": (recorded.quantisation, recorded.draw_quantisation),
    "more_uploads": (recorded.more_uploads, recorded.draw_more_uploads),
}


def pyplot() -> Any:
    """matplotlib without a screen, or None where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    return plt


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Indented, but lists of plain values on one line."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), text)
    save_atomically(path, (text + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: done; 1: some figures could not be made; the others are done."""
    command = parser("bench.paper.reproduce", __doc__, data=True)
    command.add_argument("--only", nargs="*", choices=FIGURES, default=FIGURES, metavar="NAME")
    command.add_argument("--output", type=Path, default=RESULTS, metavar="DIR")
    command.add_argument("--draw", action="store_true", help="draw again from the JSON there")
    options = command.parse_args(arguments)
    plt = pyplot()
    if plt is None:
        print("matplotlib is not installed (extra plot): JSON only, no pictures", file=sys.stderr)
    bench = Bench(options.data)
    options.output.mkdir(parents=True, exist_ok=True)
    status, figures = 0, {}
    for name in options.only:
        measure, draw = FIGURES[name]
        path = options.output / f"{name}.json"
        start = time.monotonic()
        try:
            if not options.draw:
                write_json(path, measure(bench))
            results = figures[name] = json.loads(path.read_text("utf-8"))
            if plt is not None:
                figure = draw(results, plt, bench)
                figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
                plt.close(figure)
        except (Missing, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 1
            continue
        print(f"{name}: done in {time.monotonic() - start:.0f} s", file=sys.stderr)
        if name == "figure_9" and not options.json:
            print("\n".join(services.lines(results)))
    if options.json:
        print(json.dumps(figures))
    return status


if __name__ == "__main__":
    sys.exit(main())
