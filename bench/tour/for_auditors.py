"""One photograph through one step of the system: every number, its equation, its function.

`python -m bench.tour.for_auditors [IMAGE [NEXT]] [--preset NAME] [--markdown]`. First each equation
by itself, in the order of the step; then the whole step at once, by `AdaCompress.upload`, which
must agree. Below each equation stand the rows of DIFFERENCES.md that concern it, first those of the
config fields in which the preset is not as preset `paper`; with --markdown they are links.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

import adacompress_ref as ac
from adacompress_ref import agents
from adacompress_ref.core import equations
from adacompress_ref.core.config import PAPER, BaseConfig
from adacompress_ref.core.roles import Measurement, measured
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.extractor import pool, tensor
from adacompress_ref.imaging.read import Photo
from adacompress_ref.report.heatmaps import explain
from adacompress_ref.running.live import LiveImage
from adacompress_ref.survival.drift import drift
from adacompress_ref.views.drift import SIDE, look

from ..command import PHOTOGRAPHS, parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("DIFFERENCES.md", "survival/README.md")
TABLES = "\n\n".join((ROOT / "adacompress_ref" / page).read_text("utf-8") for page in PAGES)
ROWS = [table for table in TABLES.split("\n\n") if table.startswith("| number |")]
SWITCHES = dict(re.findall(r"^\| (\d+) \|.* \| (.+) \|$", "\n".join(ROWS), re.MULTILINE))


def show(what: str, value: object, function: str = "") -> None:
    first, *more = textwrap.wrap(str(value), 58)
    print(f"  {what:<15}{first:<58} {function}".rstrip())
    for line in more:
        print(" " * 16, line)


def some(array: np.ndarray, count: int = 5) -> str:
    """The first numbers of an array, and its shape if there are more."""
    shape = f" ... {array.shape}" if array.size > count else ""
    return " ".join(f"{value:.4f}" for value in array.ravel()[:count]) + shape


def equation(number: int, text: str, config: BaseConfig) -> None:
    """A heading, and the rows of DIFFERENCES.md; those behind a semicolon are not the paper's."""
    print(f"AC-{number}  {text}")
    index = re.search(rf"^\| AC-{number}\b.* \| (.+) \| (.+) \|$", TABLES, re.MULTILINE)
    assert index
    own, _, added = (re.findall(r"\d+", part) for part in index[2].partition(";"))
    rows = [str(each) for each in range(int(own[0]), int(own[-1]) + 1)]
    rows += [] if isinstance(config, ac.Config) else added
    found, others = [], rows
    for name in re.findall(r"`(\w+)`", index[1]):
        numbers = [each for each in rows if f"`{name}`" in SWITCHES[each]]
        value = getattr(config, name, None)
        if numbers and value not in (None, getattr(PAPER, name, None)):
            found.append(f"{name}={value!s:.20} ({', '.join(numbers)})")
            others = [each for each in others if each not in numbers]
    shown = ", ".join([*found, *others])
    print(textwrap.fill(f"see {shown}", 98, initial_indent="  ", subsequent_indent="  "))


def show_features(image: LiveImage, pilot: ac.AdaCompress) -> None:
    """s = E(x), from pixels on."""
    view = tensor(image.photo.picture, pilot.config.resize)
    feature_map = pilot.extractor.run(view[None])[0]
    show("input", some(view), "extractor.tensor")
    show("feature map", some(feature_map), "Extractor.run")
    show("state s", some(pool(feature_map[None], pilot.config.pooling)[0]), "extractor.pool")
    for depth, layer in enumerate(pilot.agent.network.forward(image.state[None])[1:-1], 1):
        show(f"hidden layer {depth}", some(layer[0]), "QNetwork.forward")


def show_drift(image: LiveImage, pilot: ac.AdaCompress) -> None:
    """A row for each level, from how far a probe moves the features."""
    picture, agent = image.photo.picture, pilot.agent
    assert isinstance(agent, ac.SurvivalAgent)
    show("input", some(tensor(picture, "bilinear", SIDE)), "extractor.tensor")
    seen = look(pilot.extractor, picture, image.payloads.encoded)
    for what, features in zip(("features", "of quality 5", "of the centre"), seen, strict=True):
        show(what, some(features), "drift.look")
    show("probe's drift", some(drift(seen[1], seen[0])), "drift.drift")
    show("state s", some(image.state), "drift.rows")
    row = int(agent.q_values(image.state).argmax())
    show(f"its row {row}", some(image.state[row], image.state.size), "drift.rows")
    survival = np.where(np.isinf(image.state[:, -1]), np.nan, agent.survival(image.state))
    show("P(survives)", some(survival, len(survival)), "SurvivalAgent.survival")
    show("ds, estimated", some(image.state[:, -1], len(survival)), "Payloads.ratios")


def show_learning(agent: Any, config: BaseConfig) -> None:
    """AC-6 as the agent has it, after one learning step."""
    if not isinstance(config, ac.Config):
        show("w", f"{some(agent.w, 3)}, once, of services", "SurvivalAgent.study")
        show("epsilon", "1 in an initial training, then 0", "Agent.end_training")
        return
    start, every = config.learning_starts, config.learn_every
    show("T_start", f"{start}; then a learning step every {every}", "DQNAgent.training_step")
    show("epsilon", f"1.0000 before that learning step, {agent.epsilon:.4f} after", "next_epsilon")
    epsilons = [agent.epsilon]
    for _ in range(400):
        rule = config.epsilon_decay, config.epsilon_min, config.epsilon_dips
        epsilons.append(equations.next_epsilon(epsilons[-1], *rule))
    show("lowest", f"{min(epsilons):.4f} within 400 more", "next_epsilon")


def step(pilot: ac.AdaCompress, whole: ac.AdaCompress, photo: Photo, following: Photo) -> bool:
    """All of it, and whether `whole`, the same system, comes to the same numbers by itself."""
    config, service = pilot.config, ac.open_service("squeezenet", 1)
    agent: Any = pilot.agent
    kind, of_paper = type(agent).__name__, isinstance(config, ac.Config)
    image = LiveImage(photo, pilot.view, pilot.extractor, service)
    equation(4, "policy: c = argmax_c Q(s, c)", config)
    show("photograph x", f"{Path(photo.name).name}, {photo.picture.size} pixels", "read.read")
    (show_features if of_paper else show_drift)(image, pilot)
    q_values = agent.q_values(image.state)
    show("Q(s, c)", some(q_values, len(q_values)), f"{kind}.q_values")
    action = equations.best_action(q_values)
    show("level c", f"{action}, {config.encodings[action]}", "best_action")

    equation(9, "Grad-CAM of that level, by its largest magnitude", config)
    if of_paper:
        slope = agent.network.input_gradient(image.state, action)
        show("dQ(s, c)/ds", some(slope), "QNetwork.input_gradient")
    level = config.encodings[action]
    heat = explain(pilot, photo, level, image.payloads.limits.formats).heat
    show("heat", f"of {heat.size} cells", "grad_cam")
    for row in heat:
        print(" " * 8 + "".join(f"{cell:12.4g}" for cell in row))

    equation(2, "size ratio: ds = s_c / s_ref", config)
    sizes = [len(image.payloads.of(each)[1]) for each in range(len(config.encodings))]
    reference_size = len(image.payloads.reference)
    show("bytes s_c", " ".join(map(str, sizes)), "Payloads.of")
    show("bytes s_ref", reference_size, "Payloads.reference")
    ratio = equations.size_ratio(sizes[action], reference_size)
    show("ds", f"{ratio:.4f}", "size_ratio")

    equation(1, "accuracy: A = (1/K) sum_k max_j [l_j == g_k]", config)
    compressed, reference = image.upload(action, reference=True)
    accuracy, agreement = measured(compressed, reference, config)
    assert reference and reference.labels and compressed.labels and accuracy is not None
    names = [[label.name for label in each] for each in (reference.labels, compressed.labels)]
    show("reference g", ", ".join(names[0][:5]), "LiveImage.upload")
    show("compressed l", ", ".join(names[1][:5]), "LiveImage.upload")
    show("A", f"{accuracy:.4f} with K = {config.reference_labels}", "accuracy")
    show("agreement", f"{agreement:.4f} with K = 1, of all reports", "agreement")
    kept_by_min = equations.accuracy_as_printed(*names)
    show("as printed", f"{kept_by_min}, with min in place of max", "accuracy_as_printed")

    equation(3, "reward: R = alpha A - ds + beta", config)
    reward = equations.reward(accuracy, ratio, config.alpha, config.beta)
    show("R", f"{reward:.4f} with alpha {config.alpha:g}, beta {config.beta:g}", "reward")

    equation(7, "windowed mean of the latest n accuracies", config)
    n = config.window
    earlier = [1.0] * n + [0.0]  # made up: the label survived, but for the latest
    measurement = Measurement(image.state, action, compressed, reference, accuracy, reward)
    monitor: Any = agents.monitor_of(agent)
    watcher = type(monitor).__name__
    for each in (monitor, whole.controller.monitor):
        each.end_training()  # of presets that suspect a change at first (68): no more
        for made_up in earlier:
            each.record(measurement._replace(accuracy=made_up, reward=0.5))
    before = monitor.mean_accuracy
    monitor.record(measurement)
    show("made up", f"before this image {n} accuracies of 1 and one of 0; n = {n}")
    show("means", f"{before:.4f}, then {monitor.mean_accuracy:.4f}", f"{watcher}.record")
    as_printed = equations.windowed_mean_as_printed([*earlier, accuracy], n)
    show("as printed", f"{as_printed:.4f}, n + 1 terms over n", "windowed_mean_as_printed")
    if not of_paper:
        residual = f"P - A = {monitor.residuals[-1]:.4f}"
        limit = f"retrain above {config.surprise_limit:g}"
        show("surprise", f"{monitor.surprise:.4f} with {residual}; {limit}", "Surprise.record")
    show("retrain", "yes" if monitor.must_retrain else "no", f"{watcher}.must_retrain")

    equation(8, "p_est' = p_est + omega grad(A_mean), clipped", config)
    limits = f"from {config.p_min:g} to {config.p_max:g}"
    agent.arrive(image.state)
    monitor.see(image.state, action, compressed)
    if of_paper:
        show("p_est", f"{monitor.p_est:.4f}; omega {config.omega:g}, {limits}")
        gradient = monitor.mean_accuracy - monitor.previous_mean
        show("grad(A_mean)", f"{gradient:.4f}", f"{watcher}.estimated")
    else:
        show("p_est", f"{monitor.p_est:.4f} for an agreement of {agent.goal:g}; {limits}")
    monitor.estimated(measured=True)
    rule = "estimation_probability" if of_paper else f"{watcher}.estimated"
    show("p_est'", f"{monitor.p_est:.4f}", rule)

    equation(5, "target: y = r + gamma max_c' Q(s', c'); loss: mean of (y - Q)^2", config)
    # s' is the state of the next image, and D gets the transition when that has come
    next_state = LiveImage(following, pilot.view, pilot.extractor, service).state
    next_q = agent.q_values(next_state)
    show("Q(s', c')", some(next_q, len(next_q)), f"{kind}.q_values")
    gamma = config.gamma if of_paper else 0.0
    y = float(equations.target(np.array([reward]), gamma, next_q[None])[0])
    show("y", f"{y:.4f} with gamma {gamma:g}", "target")
    kept, row = "A", image.state[action]
    believed = None if of_paper else float(agent.survival(row))
    if of_paper:
        kept = "y" if config.target == "stored" else "s', r"
    agent.observe(measurement)
    agent.arrive(next_state)
    show("kept in D", f"s, c, {kept} = {agent.replay.values[0]:.4f}", "Replay.add")
    if of_paper:
        agent.epsilon = 1.0
        show("loss", f"{agent.learn():.6f}, mean over all outputs (24)", f"{kind}.learn")
        q_after = f"{agent.q_values(image.state)[action]:.4f} after {config.gradient_passes} passes"
        show("Q(s, c)", f"{q_values[action]:.4f} before, {q_after}", "Adam.step")
    else:
        show("u", f"{some(agent.u)}, from 0 0", "regression.newton")
        learned = f"{believed:.4f} before, {float(agent.survival(row)):.4f} after"
        show("P(survives)", learned, f"{kind}.observe")
        show("alpha", f"{agent.alpha:.4f} for an agreement of {agent.goal:g}", f"{kind}.reach")

    equation(6, "Algorithm 1: explore, then lower epsilon while learning", config)
    show_learning(agent, config)

    print("All at once, in the state estimate, by AdaCompress.upload:")
    whole.controller.state = "estimate"
    at_once = whole.upload(photo, service).step
    assert at_once is not None
    drawn = "" if whole.controller.state == "retrain" else ", drawn with seed 0"
    show("next state", whole.controller.state + drawn, "Controller.step")
    whole.upload(following, service)  # completes the transition
    of_pieces = action, accuracy, reward, monitor.mean_accuracy, monitor.p_est
    names_of_step = "action", "accuracy", "reward", "mean_accuracy", "p_est"
    of_whole = tuple(getattr(at_once, name) for name in names_of_step)
    same = of_pieces == of_whole and agent.replay.values[0] == whole.agent.replay.values[0]
    show("same numbers", "yes" if same else f"NO: {of_whole}", "c, A, R, mean, p_est', D")
    return same


def markdown(printed: str) -> str:
    """The same as a page: a heading, links to the rows and a table for each equation."""
    page: list[str] = []
    values: list[list[str]] = []  # of the table at hand: what, value, function
    for line in [*printed.splitlines(), ""]:
        if line.startswith("  see ") or (page[-1:] and page[-1].endswith(",")):
            page[-1] += line.removeprefix("  see").rstrip()  # the rows, on one or two lines
            continue
        if re.match(r"  \S", line):
            what, value, function = line[2:17], line[17:75], line[76:]
            name = (
                f"`{function.strip()}`" if re.fullmatch(r"[\w.]+", function.strip()) else function
            )
            values.append([what.strip(), value.strip(), name.strip()])
        elif line.startswith("  "):  # a value goes on
            values[-1][1] += " " + " ".join(line.split())
        else:
            if values:
                page += ["", "| what | value | function |", "|---|---|---|"]
                page += [f"| {' | '.join(each)} |" for each in values]
            values, ended = [], bool(values)
            tag, _, text = line.partition("  ")
            if tag.startswith("AC-"):
                heading = re.search(rf"^## ({tag}: .+)$", TABLES, re.MULTILINE)
                assert heading
                place = re.sub(r"[^\w -]", "", heading[1].lower()).replace(" ", "-")
                rows = f"[Rows](adacompress_ref/DIFFERENCES.md#{place})"
                page += [
                    "",
                    f"### {heading[1]}",
                    "",
                    f"`{text.partition(': ')[2] or text}`",
                    "",
                    rows,
                ]
            else:
                page += ["", line] if ended else [line]
    return "\n".join(page).strip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: the pieces and the whole agree; 1: they do not; 2: no such image."""
    command = parser("bench.tour.for_auditors", __doc__, as_json=False)
    image, following = PHOTOGRAPHS / "coffee.jpg", PHOTOGRAPHS / "chelsea.jpg"
    command.add_argument("image", nargs="?", type=Path, default=image, metavar="IMAGE")
    command.add_argument("following", nargs="?", type=Path, default=following, metavar="NEXT")
    command.add_argument("--preset", choices=agents.presets(), default="authors")
    command.add_argument("--markdown", action="store_true", help="print a page")
    options = command.parse_args(arguments)
    try:
        photos = [images.read(path) for path in (options.image, options.following)]
    except ac.ImageError as error:
        print(error, file=sys.stderr)
        return 2
    if options.markdown:
        lines = io.StringIO()
        as_text = [str(options.image), str(options.following), "--preset", options.preset]
        with contextlib.redirect_stdout(lines):
            status = main(as_text)
        print(markdown(lines.getvalue()), end="")
        return status
    about = f"Preset {options.preset}, service squeezenet."
    print(f"{about} On the right the function, if without a dot")
    print("of equations.py; numbers below an equation are rows of DIFFERENCES.md.")
    pilot, whole = (ac.AdaCompress.load(options.preset, threads=1) for _ in range(2))
    return 0 if step(pilot, whole, *photos) else 1


if __name__ == "__main__":
    sys.exit(main())
