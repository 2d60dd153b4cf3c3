"""A service that answers the same bytes differently: false alarms, and changes noticed late.

`python -m bench.noise --table TABLE --other TABLE [--preset tuned ladder | --agent FILE...]
[--self-agreement 1 0.9] [--floor 0 50] [--agreement 0.95] [--length 1000] [--streams 40]
[--min-score P] [--json]`

A stream is as `bench.streams` has it. Of each answer, the best label is one that nobody else says
with a chance such that two answers to the same bytes agree as often as `--self-agreement` says; so
are those to references asked again, as `adacompress run --floor N` does. In the second run of each
stream the service becomes that of the other table, of the same photographs, after half of it.

Per row: alarms, streams that begin a retraining without any change; references, with those asked
again; noticed, streams in which one begins after the change, and the median of images until then.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.storage import artifacts
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.table import TableError

from . import streams
from .command import parser
from .tables import WORKERS


class Noisy:
    """A recorded image whose answers are another each with the chance `wrong`."""

    def __init__(self, image: RecordedImage, wrong: float, chance: np.random.Generator) -> None:
        self.image, self.wrong, self.chance, self.state = image, wrong, chance, image.state

    def heard(self, upload: Upload) -> Upload:
        """What comes back of an upload this time."""
        if not upload.labels or self.chance.random() >= self.wrong:
            return upload
        name = f"another {self.chance.integers(2**62)}"
        return Upload(upload.size, [Label(name, 0.5), *upload.labels[1:]])

    def upload(self, action: int, reference: bool) -> tuple[Upload, Upload | None]:
        """As of the recorded image."""
        own, other = self.image.upload(action, reference)
        return self.heard(own), other and self.heard(other)


class Task(NamedTuple):
    """One stream."""

    table: str
    other: str
    agent: str
    min_score: float
    goal: float
    length: int
    agrees: float  # with itself
    floor: int  # references asked again
    changes: bool
    number: int


def images_of(task: Task, table: str) -> dict[str, RecordedImage]:
    """The photographs of a table that are streamed, by their bytes."""
    images = streams.world(streams.Task(table, task.agent, task.min_score)).images
    return {image.table.digests[image.index]: image for image in images}


def run(task: Task) -> tuple[int, int, int | None]:
    """Retrainings, references, and when the first began after half of the stream."""
    own, other = images_of(task, task.table), images_of(task, task.other)
    names = sorted(own.keys() & other.keys())
    chance = np.random.default_rng([task.number, 2])
    agent = agents.load(task.agent, np.random.default_rng([task.number, 1]))
    agent.aim(None, task.goal)
    controller = Controller(agent, agents.monitor_of(agent))
    begun, references, asked, noticed = 0, 0, 0, None
    wrong, half = 1 - task.agrees**0.5, task.length // 2
    for turn, row in enumerate(
        streams.drawn(len(names), task.length, range(task.number, task.number + 1))[0]
    ):
        service = other if task.changes and turn >= half else own
        image, before = Noisy(service[names[row]], wrong, chance), controller.state
        step = controller.step(image)
        references += step.reference is not None
        if step.agreement is not None and step.reference and asked < task.floor:
            asked += 1
            again = image.heard(image.image.upload(0, True)[1] or step.reference)
            agent.hear_again(float(again.labels[0] == step.reference.labels[0]))
        if controller.state == "retrain" and before != "retrain":
            begun += 1
            if turn >= half and noticed is None:
                noticed = turn - half
    return begun, references + 2 * asked, noticed


def rows(base: dict[str, Any], agreements: list[float], floors: list[int], count: int) -> Any:
    """One for each self-agreement and floor."""
    with ProcessPoolExecutor(WORKERS) as executor:
        for agrees in agreements:
            for floor in floors:
                still, changed = (
                    list(
                        executor.map(
                            run,
                            [
                                Task(**base, agrees=agrees, floor=floor, changes=c, number=n)
                                for n in range(count)
                            ],
                        )
                    )
                    for c in (False, True)
                )
                delays = [noticed for *_, noticed in changed if noticed is not None]
                yield {
                    **{name: base[name] for name in ("table", "other", "agent", "goal", "length")},
                    **{"self_agreement": agrees, "floor": floor, "streams": count},
                    "alarms": sum(begun > 0 for begun, *_ in still),
                    "references": float(np.mean([references for _, references, _ in still])),
                    "noticed": len(delays),
                    "median_delay": float(np.median(delays)) if delays else None,
                }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2: tables or agent cannot be used."""
    command = parser("bench.noise", __doc__)
    command.add_argument("--table", type=Path, required=True, help="that `label` made")
    command.add_argument("--other", type=Path, required=True, help="of another service")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--preset", nargs="+", choices=streams.PRESETS, default=["tuned"])
    which.add_argument("--agent", nargs="+", type=Path, metavar="FILE", help="in place of presets")
    command.add_argument("--self-agreement", nargs="+", type=float, default=[1.0, 0.9])
    command.add_argument("--floor", nargs="+", type=int, default=[0, 50])
    command.add_argument("--agreement", type=float, default=0.95)
    command.add_argument("--length", type=int, default=1000, help="images of a stream")
    command.add_argument("--streams", type=int, default=40)
    command.add_argument("--min-score", type=float, default=0.0, metavar="P")
    options = command.parse_args(arguments)
    if not all(0 < share <= 1 for share in [*options.self_agreement, options.agreement]):
        command.error("--self-agreement and --agreement must be above 0 and at most 1")
    try:
        paths = options.agent or [artifacts.find(f"agent-{name}.npz") for name in options.preset]
        for path in paths:
            base = {"table": str(options.table), "other": str(options.other), "agent": str(path)}
            base |= {"min_score": options.min_score, "goal": options.agreement}
            base |= {"length": options.length}
            for row in rows(base, options.self_agreement, options.floor, options.streams):
                print(json.dumps(row) if options.json else _line(row), flush=True)
    except (TableError, agents.AgentError, artifacts.ArtifactError) as error:
        print(f"bench.noise: {error}", file=sys.stderr)
        return 2
    return 0


def _line(row: dict[str, Any]) -> str:
    return (
        f"{Path(row['agent']).stem:<16} self-agreement {row['self_agreement']:.2f} "
        f"floor {row['floor']:>3}: {row['alarms']} of {row['streams']} with an alarm, "
        f"{row['references']:.0f} references; change noticed in {row['noticed']} after "
        f"{row['median_delay']} images"
    )


if __name__ == "__main__":
    sys.exit(main())
