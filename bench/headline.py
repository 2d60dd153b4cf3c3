"""The table of the README: agreement and all bytes, of the agent and of what needs none.

`python -m bench.headline --table TABLE... [--streams 40] [--write]`

TABLEs are what `label` made of photographs of which some were not used for training: those count.
Agreement is what the client gets; bytes are all that is sent, references included, over those of
always quality 75 (a ratio of sums). The rows:

- what `jpegoptim` makes of quality 75: the same pixels with Huffman tables of their own
- best fixed level: the one with the highest agreement - bytes on these photographs, in hindsight
- calibrate once, the agent: streams of 1,000 images at an agreement of .95, as in `bench.streams`
- as shipped: the agent chooses, no reference is sent and nothing learned, as in `compress`

The published rows are those of the paper, which counts no references. `--write` puts the table into
README.md, between its two marks.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from adacompress_ref import agents
from adacompress_ref.storage import artifacts
from adacompress_ref.tables.table import Table, TableError

from . import streams
from .alternatives import calibrate
from .command import parser
from .tables import WORKERS

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- python -m bench.headline -->\n", "<!-- end -->"
GOAL, LENGTH = 0.95, 1000
NAMES = {"squeezenet": "SqueezeNet", "efficientnet-lite1": "EfficientNet-Lite1"}
PUBLISHED = (  # the paper's Figure 9, from its slides
    ("published, Amazon Rekognition", ".913", ".464"),
    ("published, Baidu Vision", ".926", ".498"),
    ("published, Face++", ".941", ".415"),
)


def number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)


def measured(path: Path, agent: Path, count: int) -> dict[str, tuple[float, float]]:
    """Agreement and bytes of each rule on one table, in the order of the README's rows."""
    task = streams.Task(str(path), str(agent), 0.0)
    here = streams.world(task)
    kept, sizes, reference = here.rungs
    total = reference.sum()
    points = kept.mean(axis=0), sizes.sum(axis=0) / total  # of each rung
    best = int(np.argmax(points[0] - points[1]))
    chosen, _ = agents.load(agent).predict(np.array([image.state for image in here.images]))
    places = np.arange(len(chosen)), chosen
    table, view = Table.load(path), agents.view_of(agents.load(agent).config)
    rows = [image.index for image in here.images]
    own_sizes = streams.sizes_of(table.only(view.encodings), view)[rows]
    parts = [range(count)[first : first + 5] for first in range(0, count, 5)]
    with ProcessPoolExecutor(WORKERS) as executor:
        jobs = [executor.submit(streams.run, task, GOAL, LENGTH, part) for part in parts]
        of_parts = zip(*(job.result() for job in jobs), strict=True)
    kept_of_agent, referenced, sent = map(np.concatenate, of_parts)
    drawn = streams.drawn(len(here.images), LENGTH, range(count))
    (once,) = calibrate(*here.rungs.of(drawn), [GOAL], 100)
    all_references = reference[drawn].sum(axis=1)
    return {
        "always quality 75": (1.0, 1.0),
        "quality 75 as `jpegoptim` makes it": (1.0, float(points[1][-1])),
        "best fixed level, chosen in hindsight": (float(points[0][best]), float(points[1][best])),
        "calibrate on 100 images, then stay": (float(once.client.mean()), float(once.net.mean())),
        "this, as shipped: `compress`, which asks no service": (
            float(here.kept[places].mean()),
            float(np.minimum(own_sizes[places], own_sizes[:, -1]).sum() / total),
        ),
        "**this, told `--agreement 0.95`**": (
            float((kept_of_agent | referenced).mean()),
            float((sent.sum(axis=1) / all_references).mean()),
        ),
    }


def markdown(columns: dict[str, dict[str, tuple[float, float]]]) -> str:
    """The table; columns: by service."""
    titles = [f"{NAMES.get(service, service)}: agreement | bytes" for service in columns]
    lines = [f"| policy | {' | '.join(titles)} |", "|---" * (1 + 2 * len(columns)) + "|"]
    for rule in next(iter(columns.values())):
        cells = [number(value) for column in columns.values() for value in column[rule]]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    rest = " | |" * (len(columns) - 1)
    lines += [f"| {who} | {agreement} | {size} |{rest}" for who, agreement, size in PUBLISHED]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2: a table or an agent cannot be used."""
    command = parser("bench.headline", __doc__, as_json=False)
    command.add_argument("--table", nargs="+", type=Path, required=True, help="that `label` made")
    command.add_argument("--agent", type=Path, metavar="FILE", help="in place of preset tuned's")
    command.add_argument("--streams", type=int, default=40)
    command.add_argument("--write", action="store_true", help="into README.md")
    options = command.parse_args(arguments)
    try:
        agent = options.agent or artifacts.find("agent-tuned.npz")
        columns = {}
        for path in options.table:
            columns[Table.load(path).source.service] = measured(path, agent, options.streams)
    except (TableError, agents.AgentError, artifacts.ArtifactError) as error:
        print(f"bench.headline: {error}", file=sys.stderr)
        return 2
    table = markdown(columns)
    print(table, end="")
    if options.write:
        before, _, rest = README.read_text("utf-8").partition(START)
        README.write_text(before + START + table + END + rest.partition(END)[2], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
