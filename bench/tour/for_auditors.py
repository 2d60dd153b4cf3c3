"""One photograph through one step of the system: every number, its equation, its function.

`python -m bench.tour.for_auditors [IMAGE [NEXT]] [--preset NAME]`. First each equation by itself,
in the order of the step; then the whole step at once, by `AdaCompress.upload`, which must agree.
Below each equation stand the rows of DIFFERENCES.md that concern it, first those of the config
fields in which the preset is not as preset `paper`.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path

import numpy as np

import adacompress_ref as ac
from adacompress_ref.core import equations
from adacompress_ref.core.config import PRESETS
from adacompress_ref.core.controller import measured
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.extractor import pool, tensor
from adacompress_ref.imaging.read import Photo
from adacompress_ref.report.heatmaps import explain
from adacompress_ref.running.live import LiveImage
from adacompress_ref.survival.monitor import Estimator, Watch
from adacompress_ref.views import drift

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = ROOT / "tests" / "photos"
TABLES = (ROOT / "adacompress_ref" / "DIFFERENCES.md").read_text("utf-8")
# further tables begin with numbers too
ROWS = TABLES[: TABLES.index("\nThe state was larger once")]
SWITCHES = dict(re.findall(r"^\| (\d+) \|.* \| (.+) \|$", ROWS, re.MULTILINE))


def show(what: str, value: object, function: str = "") -> None:
    first, *more = textwrap.wrap(str(value), 58)
    print(f"  {what:<15}{first:<58} {function}".rstrip())
    for line in more:
        print(" " * 16, line)


def some(array: np.ndarray, count: int = 5) -> str:
    """The first numbers of an array, and its shape if there are more."""
    shape = f" ... {array.shape}" if array.size > count else ""
    return " ".join(f"{value:.4f}" for value in array.ravel()[:count]) + shape


def equation(number: int, text: str, config: ac.Config) -> None:
    """A heading, and the rows of DIFFERENCES.md; those behind a semicolon are for drift."""
    print(f"AC-{number}  {text}")
    index = re.search(rf"^\| AC-{number}\b.* \| (.+) \| (.+) \|$", TABLES, re.MULTILINE)
    assert index
    own, _, added = (re.findall(r"\d+", part) for part in index[2].partition(";"))
    rows = [str(each) for each in range(int(own[0]), int(own[-1]) + 1)]
    rows += added if config.state == "drift" else []
    found, others = [], rows
    for name in re.findall(r"`(\w+)`", index[1]):
        numbers = [each for each in rows if f"`{name}`" in SWITCHES[each]]
        value = getattr(config, name)
        if numbers and value != getattr(PRESETS["paper"], name):
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
    config, picture, agent = pilot.config, image.photo.picture, pilot.agent
    assert isinstance(agent, ac.SurvivalAgent)
    show("input", some(tensor(picture, "bilinear", drift.SIDE)), "extractor.tensor")
    seen = drift.look(pilot.extractor, picture, image.payloads.encoded, config.glance)
    for what, features in zip(("features", "of quality 5", "of the centre"), seen, strict=False):
        show(what, some(features), "drift.look")
    show("probe's drift", some(drift.drift(seen[1], seen[0])), "drift.drift")
    show("state s", some(image.state), "drift.rows")
    row = int(agent.q_values(image.state).argmax())
    show(f"its row {row}", some(image.state[row], image.state.size), "drift.rows")
    survival = np.where(np.isinf(image.state[:, -1]), np.nan, agent.survival(image.state))
    show("P(survives)", some(survival, len(survival)), "SurvivalAgent.survival")


def step(pilot: ac.AdaCompress, whole: ac.AdaCompress, photo: Photo, following: Photo) -> bool:
    """All of it, and whether `whole`, the same system, comes to the same numbers by itself."""
    config, agent, service = pilot.config, pilot.agent, ac.open_service("squeezenet", 1)
    image = LiveImage(photo, config, pilot.extractor, service)
    equation(4, "policy: c = argmax_c Q(s, c)", config)
    show("photograph x", f"{Path(photo.name).name}, {photo.picture.size} pixels", "images.read")
    (show_drift if config.state == "drift" else show_features)(image, pilot)
    q_values = agent.q_values(image.state)
    show("Q(s, c)", some(q_values, len(q_values)), "DQNAgent.q_values")
    action = equations.best_action(q_values)
    show("level c", f"{action}, {config.encodings[action].name}", "best_action")

    equation(9, "Grad-CAM of that level, scaled to its maximum", config)
    if config.state == "features":
        slope = agent.network.input_gradient(image.state, action)
        show("dQ(s, c)/ds", some(slope), "QNetwork.input_gradient")
    heat = explain(pilot, photo, action, image.formats).heat
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
    estimator = Estimator(config)
    for each in (estimator, whole.controller.estimator):
        for measurement in earlier:
            each.record(measurement, 0.5)
    before = estimator.mean_accuracy
    estimator.record(accuracy, reward)
    show("made up", f"before this image {n} accuracies of 1 and one of 0; n = {n}")
    show("means", f"{before:.4f}, then {estimator.mean_accuracy:.4f}", "Estimator.record")
    as_printed = equations.windowed_mean_as_printed([*earlier, accuracy], n)
    show("as printed", f"{as_printed:.4f}, n + 1 terms over n", "windowed_mean_as_printed")
    if isinstance(agent, ac.SurvivalAgent):
        watch = Watch(config)
        survival = float(agent.survival(image.state[action]))
        watch.measure(survival, accuracy)
        said = f"{watch.surprise:.4f} with P - A = {survival - accuracy:.4f}; retrain above"
        show("surprise", f"{said} {config.surprise_limit:g}", "Watch.measure")
    else:
        show("retrain", "yes" if estimator.must_retrain else "no", "Estimator.must_retrain")

    equation(8, "p_est' = p_est + omega grad(A_mean), clipped", config)
    limits = f"omega {config.omega:g}, from {config.p_min:g} to {config.p_max:g}"
    show("p_est", f"{estimator.p_est:.4f}; {limits}")
    gradient = estimator.mean_accuracy - estimator.previous_mean
    show("grad(A_mean)", f"{gradient:.4f}", "Estimator.update_p_est")
    estimator.update_p_est()
    show("p_est'", f"{estimator.p_est:.4f}", "estimation_probability")

    equation(5, "target: y = r + gamma max_c' Q(s', c'); loss: mean of (y - Q)^2", config)
    # s' is the state of the next image, and D gets the transition when that has come
    next_state = LiveImage(following, config, pilot.extractor, service).state
    next_q = agent.q_values(next_state)
    show("Q(s', c')", some(next_q, len(next_q)), "DQNAgent.q_values")
    y = float(equations.target(np.array([reward]), config.gamma, next_q[None])[0])
    show("y", f"{y:.4f} with gamma {config.gamma:g}", "target")
    if isinstance(agent, ac.SurvivalAgent):
        agent.observe(image.state, action, accuracy)
        kept, loss_of = "A", "cross-entropy of A and P (62)"
    else:
        agent.remember(image.state, action, reward, next_state)
        kept = "y" if config.target == "stored" else "s', r"
        loss_of = "mean over all outputs (24)"
    show("kept in D", f"s, c, {kept} = {agent.replay.values[0]:.4f}", "Replay.add")
    agent.begin_training()  # epsilon is 1
    show("loss", f"{agent.learn():.6f}, {loss_of}", "DQNAgent.learn")
    q_after = f"{agent.q_values(image.state)[action]:.4f} after {config.gradient_passes} passes"
    show("Q(s, c)", f"{q_values[action]:.4f} before, {q_after}", "Adam.step")

    equation(6, "Algorithm 1: explore, then lower epsilon while learning", config)
    start, every = config.learning_starts, config.learn_every
    show("T_start", f"{start}; then a learning step every {every}", "DQNAgent.training_step")
    show("epsilon", f"1.0000 before that learning step, {agent.epsilon:.4f} after", "next_epsilon")
    epsilons = [agent.epsilon]
    for _ in range(400):
        rule = config.epsilon_decay, config.epsilon_min, config.epsilon_dips
        epsilons.append(equations.next_epsilon(epsilons[-1], *rule))
    show("lowest", f"{min(epsilons):.4f} within 400 more", "next_epsilon")

    print("All at once, in the state estimate, by AdaCompress.upload:")
    whole.controller.state = "estimate"
    whole.controller.watch.reset()  # of presets that suspect a change at first (68): no more
    whole.controller.suspected = False
    taken = whole.upload(photo, service).step
    assert taken is not None
    drawn = "" if whole.controller.state == "retrain" else ", drawn with seed 0"
    show("next state", whole.controller.state + drawn, "Controller.step")
    whole.upload(following, service)  # completes the transition
    of_pieces = (action, accuracy, reward, estimator.mean_accuracy, estimator.p_est)
    of_whole = (taken.action, taken.accuracy, taken.reward, taken.mean_accuracy, taken.p_est)
    same = of_pieces == of_whole and agent.replay.values[0] == whole.agent.replay.values[0]
    show("same numbers", "yes" if same else f"NO: {of_whole}", "c, A, R, mean, p_est', D")
    return same


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: the pieces and the whole agree; 1: they do not; 2: no such image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    one, other = PHOTOGRAPHS / "coffee.jpg", PHOTOGRAPHS / "chelsea.jpg"
    parser.add_argument("image", nargs="?", type=Path, default=one, metavar="IMAGE")
    parser.add_argument("following", nargs="?", type=Path, default=other, metavar="NEXT")
    parser.add_argument("--preset", choices=PRESETS, default="authors")
    options = parser.parse_args(arguments)
    try:
        photos = [images.read(path) for path in (options.image, options.following)]
    except ac.ImageError as error:
        print(error, file=sys.stderr)
        return 2
    about = f"Preset {options.preset}, service squeezenet."
    print(f"{about} On the right the function, if without a dot")
    print("of equations.py; numbers below an equation are rows of DIFFERENCES.md.")
    pilot, whole = (ac.AdaCompress.load(options.preset, threads=1) for _ in range(2))
    return 0 if step(pilot, whole, *photos) else 1


if __name__ == "__main__":
    sys.exit(main())
