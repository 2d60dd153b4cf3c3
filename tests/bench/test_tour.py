"""The tour: its numbers are worked out again, without the package where that can be."""

import ast
import contextlib
import io
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import adacompress_ref as ac
from adacompress_ref.imaging import read as images
from adacompress_ref.report.heatmaps import explain
from adacompress_ref.running import runlog
from adacompress_ref.services.jsonlines import append_line
from bench.tour import for_auditors, for_operators

ROOT = Path(__file__).parents[2]
WIDTHS = (1280, 64, 32, 32, 10)
LEVEL = 4  # that `authors` chooses for coffee.jpg


class Audit:
    """What the auditor's tour printed: texts by name, in order."""

    def __init__(self, preset):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert for_auditors.main(["--preset", preset]) == 0
        self.lines = printed.getvalue().splitlines()
        self.texts, name = {}, ""
        for line in self.lines[2:]:
            if re.match(r"  \S", line) and line[17:18].strip():
                name = line[2:17].strip()
                self.texts.setdefault(name, []).append("")
            if line.startswith("  ") and name:
                self.texts[name][-1] += " " + (line if name == "heat" else line[17:75])

    def numbers(self, name, place=0):
        """Those that stand alone."""
        found = []
        for word in re.split(r"[\s,;()]+", self.texts[name][place]):
            with contextlib.suppress(ValueError):
                found.append(float(word))
        return found


@pytest.fixture(scope="module")
def authors():
    return Audit("authors")


@pytest.fixture(scope="module")
def tuned():
    return Audit("tuned")


@pytest.fixture(scope="module")
def photograph():
    return Image.open(ROOT / "tests" / "photos" / "coffee.jpg").convert("RGB")


@pytest.fixture(scope="module")
def network():
    """The shipped network in float64: parameters, and Adam's m and v, flat; t."""
    with np.load(ROOT / "weights" / "agent-authors.npz") as arrays:
        learned = json.loads(str(arrays["description"]))["learned"]
        names = ("network.parameters", "optimiser.mean", "optimiser.variance")
        flat = [arrays[name].astype(np.float64) for name in names]
        return [*flat, np.array(learned["optimiser"]["steps"])]


@pytest.fixture(scope="module")
def map_of(photograph):
    """The last feature map of ONNX Runtime, and its input."""
    small = np.asarray(photograph.resize((224, 224), Image.Resampling.NEAREST), np.float32)
    view = (small / 127.5 - 1).transpose(2, 0, 1)
    session = onnxruntime.InferenceSession(ROOT / "weights" / "mobilenetv2.onnx")
    return view, session.run(["map"], {"image": view[None]})[0][0].astype(np.float64)


def forward(parameters, states):
    """Each layer's weights, and its output; the states first."""
    weights, outputs, start = [], [states], 0
    for inputs, units in pairwise(WIDTHS):
        end = start + inputs * units
        weights.append(parameters[start:end].reshape(inputs, units))
        output = outputs[-1] @ weights[-1] + parameters[end : end + units]
        outputs.append(output if units == WIDTHS[-1] else np.maximum(output, 0))
        start = end + units
    return weights, outputs


def close(found, expected):
    assert found == pytest.approx(list(expected), abs=2e-4)


@pytest.mark.parametrize("preset", ["authors", "tuned"])
def test_each_equation_once_and_on_two_screens(request, preset):
    audit = request.getfixturevalue(preset)
    tags = [line[:4] for line in audit.lines if line.startswith("AC-")]
    assert sorted(tags) == [f"AC-{number}" for number in range(1, 10)]
    assert len(audit.lines) <= 80 and max(map(len, audit.lines)) <= 100
    assert audit.texts["same numbers"] == [" " + "yes".ljust(58)]


def test_the_rows_of_differences(authors, tuned):
    text = "\n".join(authors.lines)
    assert "  see resize=nearest (18), pooling=corner (17), 16, 19, 20\n" in text  # of AC-4
    assert "  see target=stored (21, 22, 25), 23, 24, 26, 27, 28\n" in text  # of AC-5
    assert "agreement=0.95 (71)" in "\n".join(tuned.lines)


def test_each_row_of_the_index_is_named_once(capsys):
    document = (ROOT / "adacompress_ref" / "DIFFERENCES.md").read_text("utf-8")
    for number in range(1, 10):
        (cell,) = re.findall(rf"^\| AC-{number}\b.* \| (.+) \|$", document, re.MULTILINE)
        expected = []
        for part in re.split("[,;]", cell):
            first, *last = map(int, re.findall(r"\d+", part))
            expected += range(first, (last or [first])[0] + 1)
        for_auditors.equation(number, "", ac.preset("tuned"))
        shown = re.sub(r"\w+=[\w.]+", "", capsys.readouterr().out.partition("\n")[2])
        assert sorted(set(map(int, re.findall(r"\d+", shown)))) == sorted(expected)


def test_as_a_page_each_equation_leads_to_its_rows(authors, capsys):
    assert for_auditors.main(["--markdown"]) == 0
    page = capsys.readouterr().out
    details = (ROOT / "adacompress_ref" / "DIFFERENCES.md").read_text("utf-8")
    sections = re.findall(r"^### (AC-\d: .+)$", page, re.MULTILINE)
    assert [each[:4] for each in sections] == [n[:4] for n in authors.lines if n[:3] == "AC-"]
    for heading in sections:
        assert f"\n## {heading}\n" in details
    links = re.findall(
        r"^\[Rows\]\(adacompress_ref/DIFFERENCES\.md#(ac-\d)[^)]*\) (.+)$", page, re.M
    )
    assert [place for place, _ in links] == [each[:4].lower() for each in sections]
    shown = [line for line in authors.lines if line.startswith("  see ")]
    for line, (_, rows) in zip(shown, links, strict=True):
        assert rows.startswith(line.removeprefix("  see "))
    for name in ("state s", "heat", "ds", "A", "R", "means", "p_est'", "y", "loss", "epsilon"):
        value = " ".join(authors.texts[name][0].split())
        assert f"| {name} | " in page and (name == "heat" or f"| {name} | {value} | " in page)


def test_the_functions_named_exist(authors, tuned):
    functions = set()
    for path in (ROOT / "adacompress_ref").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                functions.add(f"{path.stem}.{node.name}")
            if isinstance(node, ast.ClassDef):
                methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
                functions |= {f"{node.name}.{method.name}" for method in methods}
    lines = [line for audit in (authors, tuned) for line in audit.lines[2:-1]]
    named = {line[76:] for line in lines if re.fullmatch(r"[\w.]+", line[76:])}
    assert len(named) > 30
    assert {name if "." in name else f"equations.{name}" for name in named} <= functions


def test_from_pixels_to_q_values(authors, map_of, network):
    view, feature_map = map_of
    state = feature_map[:, :4, :4].mean(axis=(1, 2))
    _, outputs = forward(network[0], state[None])
    seen = {"input": view, "feature map": feature_map, "state s": state}
    seen |= {f"hidden layer {depth}": outputs[depth] for depth in (1, 2, 3)}
    for name, expected in seen.items():
        close(authors.numbers(name)[:5], expected.ravel()[:5])
    close(authors.numbers("Q(s, c)"), outputs[-1][0])
    assert authors.texts["level c"][0].split() == [f"{LEVEL},", "jpeg-q45"]
    assert outputs[-1][0].argmax() == LEVEL


def test_the_heat_by_differences_of_q(authors, map_of, network):
    feature_map = map_of[1]
    state = feature_map[:, :4, :4].mean(axis=(1, 2))
    moved = state + np.concatenate([np.eye(1280), -np.eye(1280)]) * 1e-5
    above, below = forward(network[0], moved)[1][-1][:, LEVEL].reshape(2, 1280)
    heat = np.tensordot(above - below, feature_map, axes=1)  # but for a factor
    found = authors.numbers("heat")[1:]  # behind the count of cells
    close(authors.numbers("dQ(s, c)/ds")[:5], (above - below)[:5] / 2e-5)
    assert found == pytest.approx(list((heat / heat.max()).ravel()), abs=1e-3)


@pytest.mark.parametrize("preset", ["authors", "tuned"])
def test_from_sizes_to_the_reward(request, photograph, preset):
    audit, sizes = request.getfixturevalue(preset), []
    for quality in range(5, 100, 10) if preset == "authors" else (5, 15, 25, 35, 75):
        own_tables = preset == "tuned"
        photograph.save(stream := io.BytesIO(), "JPEG", quality=quality, optimize=own_tables)
        sizes.append(stream.tell())
    photograph.save(stream := io.BytesIO(), "JPEG", quality=75)
    reference = stream.tell()
    assert audit.numbers("bytes s_c") == sizes
    assert audit.numbers("bytes s_ref") == [reference]
    ratio = sizes[int(audit.numbers("level c")[0])] / reference
    close(audit.numbers("ds"), [ratio])
    names = [audit.texts[name][0].split(",") for name in ("reference g", "compressed l")]
    best, answers = names[0][0].strip(), [name.strip() for name in names[1]]
    accuracy = float(best in answers)
    close(audit.numbers("A")[:1] + audit.numbers("agreement")[:1], [accuracy] * 2)
    assert audit.numbers("as printed")[0] == 0  # the answers are not one word five times
    alpha = ac.preset(preset).alpha
    close(audit.numbers("R")[:2], [alpha * accuracy - ratio, alpha])


def test_windows_p_est_and_the_draw(authors, tuned):
    # before this image ten of 1 and one of 0: the ten first, then the ten latest
    assert authors.numbers("means") == [1.0, 0.9]
    assert authors.numbers("as printed", 1)[0] == 1.0  # 9 + 0 + this one, over 10
    assert authors.numbers("grad(A_mean)") == [-0.1] and "no" in authors.texts["retrain"][0]
    assert authors.numbers("p_est")[0] == 0.2 and authors.numbers("p_est'") == [0.5]  # + 3 * 0.1
    rng = np.random.default_rng(0)
    ac.load(ROOT / "weights" / "agent-authors.npz", rng)
    _, chance = rng.random(2)  # the first is for epsilon
    assert authors.texts["next state"][0].split()[0] == "estimate," and chance < 0.5
    # fifteen of 1 and one of 0, and this image counts: 14 of 15 both times
    close(tuned.numbers("means"), [14 / 15, 14 / 15])
    level = int(tuned.numbers("level c")[0])
    residual = tuned.numbers("P(survives)")[level] - 1  # P - A
    # fifteen labels kept leave no surprise; the one lost adds P and takes the slack of 0.05
    close(tuned.numbers("surprise")[:2], [residual + 1 - 0.05 + residual - 0.05, residual])
    config = ac.preset("tuned")
    chance = config.early_losses * (1 - config.agreement)
    close(tuned.numbers("p_est")[:2] + tuned.numbers("p_est'")[:1], [chance, 0.95, chance])


def test_the_target_and_the_learning_step(authors, map_of, network):
    q_values = authors.numbers("Q(s, c)")
    target = authors.numbers("R")[0] + 0.95 * max(authors.numbers("Q(s', c')"))
    close(authors.numbers("y")[:1] + authors.numbers("kept in D"), [target] * 2)
    close(authors.numbers("loss")[:1], [(target - q_values[LEVEL]) ** 2 / 10])

    parameters, mean, variance, steps = (each.copy() for each in network)
    state = map_of[1][:, :4, :4].mean(axis=(1, 2))[None]
    aim = forward(parameters, state)[1][-1].copy()
    aim[0, LEVEL] = authors.numbers("y")[0]
    for t in range(int(steps) + 1, int(steps) + 6):
        weights, outputs = forward(parameters, state)
        delta, parts = 2 / 10 * (outputs[-1] - aim), []
        for depth in (3, 2, 1, 0):
            parts = [(outputs[depth].T @ delta).ravel(), delta[0], *parts]
            delta = (delta @ weights[depth].T) * (outputs[depth] > 0)
        gradient = np.concatenate(parts)
        mean = 0.9 * mean + 0.1 * gradient
        variance = 0.999 * variance + 0.001 * gradient**2
        rate = 0.002 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        parameters -= rate * mean / (np.sqrt(variance) + 1e-7)
    after = forward(parameters, state)[1][-1][0, LEVEL]
    assert authors.numbers("Q(s, c)", 1)[:2] == pytest.approx([q_values[LEVEL], after], abs=1e-3)


def test_epsilon(authors):
    assert authors.numbers("epsilon") == [1.0, 0.99]
    assert authors.numbers("lowest")[0] == pytest.approx(0.99**390, abs=5e-5)  # the dip: 0.0198
    assert authors.numbers("T_start") == [128, 5]


def test_of_tuned_what_differs(tuned):
    """Q = alpha P - ds, of sizes estimated; gamma 0; two numbers learned of the service."""
    survival, q_values = tuned.numbers("P(survives)"), tuned.numbers("Q(s, c)")
    ratios = np.array(tuned.numbers("bytes s_c")) / tuned.numbers("bytes s_ref")
    estimated = np.array(tuned.numbers("ds, estimated"))
    assert estimated == pytest.approx(ratios, abs=0.01)
    alpha = tuned.numbers("R")[1]
    assert q_values == pytest.approx(alpha * np.array(survival) - estimated, abs=1e-3)
    assert tuned.numbers("level c")[0] == np.argmax(q_values)
    level = int(np.argmax(q_values))
    close(tuned.numbers("y")[:1], tuned.numbers("R")[:1])
    assert tuned.numbers("kept in D") == tuned.numbers("A")[:1] == [1.0]
    before, after = tuned.numbers("P(survives)", 1)[:2]
    assert before == survival[level] and before < after < before + 0.05  # P nearer to A
    agent = ac.AdaCompress.load("tuned").agent
    row = np.array(tuned.numbers(f"its row {level}"))
    z = float(agent._z(row))
    phi = np.array([1, (z - 2.5) / 2])
    logit = z / np.sqrt(1 + np.pi / 8 * phi @ agent.sigma @ phi)
    assert before == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-3)
    # of one label kept: where its pull and that of what is known of services are equal
    u, pull = np.array(tuned.numbers("u")[:2]), 1 / (1 + np.exp(z + phi @ tuned.numbers("u")[:2]))
    np.testing.assert_allclose(u, agent.sigma @ phi * pull, atol=2e-4)


def test_preset_paper_agrees_with_its_pieces():
    assert Audit("paper").texts["same numbers"][0].split() == ["yes"]


def test_of_ladder_the_level_chosen_is_the_one_shown():
    audit = Audit("ladder")
    level, q_values = int(audit.numbers("level c")[0]), audit.numbers("Q(s, c)")
    assert level == np.argmax(q_values)
    ds = audit.numbers("ds, estimated")[level]
    value = audit.numbers("R")[1] * audit.numbers("P(survives)")[level] - ds
    assert q_values[level] == pytest.approx(value, abs=1e-3)
    row = audit.numbers(f"its row {level}")
    assert (len(row), row[9 + level]) == (32, 1.0)
    pilot, photo = (
        ac.AdaCompress.load("ladder"),
        images.read(for_auditors.PHOTOGRAPHS / "coffee.jpg"),
    )
    name = pilot.config.encodings[level]
    heat = explain(pilot, photo, name, ["jpeg", "webp"]).heat  # not of JPEG alone
    assert audit.numbers("heat")[1:] == pytest.approx(heat.ravel(), rel=2e-3)


def test_an_image_that_is_not_there(capsys, tmp_path):
    (tmp_path / "empty.jpg").touch()
    for arguments in (["no.jpg"], [str(tmp_path / "empty.jpg")], [str(tmp_path)]):
        assert for_auditors.main(arguments) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)


def run(name):
    command = [sys.executable, "-m", f"bench.tour.{name}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_integrator_sends_what_the_readme_says():
    *lines, total = run("for_integrators").stdout.splitlines()
    readme = (ROOT / "README.md").read_text("utf-8")
    for line in lines:
        name, encoding, *_ = line.split()
        assert re.search(rf"^{name} +\w+ +{encoding} ", readme, re.MULTILINE)
    share = float(re.search(r"references included, (0\.\d+) of", readme)[1])
    assert len(lines) == 8 and total.endswith(f", {share:.1%} of always quality 75")


def entry(number, **changes):
    sizes = {"bytes": 300, "bytes_sent": 300, "reference_bytes": 1000, "original_bytes": 2000}
    texts = {"image": f"{number}.jpg", "state": "inference", "encoding": "jpeg-q15"}
    answer = {"answered_by": "compressed", "labels": [["cat", 0.5]]}
    return dict.fromkeys(runlog.FIELDS) | sizes | texts | answer | changes


MEASURED = {"state": "estimate", "bytes_sent": 1300, "compressed_labels": [["dog", 0.5]]}
TOTALS = "3 images, 0 failed; 1 estimate, 2 inference\nincluded, 0.633 of"  # 1900 of 3000 bytes


@pytest.mark.parametrize(
    ("images", "changes", "expected"),
    [
        ((1, 2, 3), {}, True),
        ((1, 2), {}, False),  # one is lost
        ((1, 2, 3, 3), {}, False),  # one was sent twice
        ((1, 2, 3), {"counted": "6 requests, 3 answered"}, False),  # fewer than the log has
        ((1, 2, 3), {"mended": TOTALS.replace("633", "634")}, False),
        ((1, 2, 3), {"log": b""}, False),  # it has changed
        ((1, 2, 3), {"stopped": 3}, False),  # not in the middle
    ],
)
def test_what_is_not_accounted_for_is_seen(monkeypatch, tmp_path, images, changes, expected):
    monkeypatch.setattr(for_operators, "IMAGES", 3)
    monkeypatch.setattr(for_operators, "same", lambda *_: True)
    for number in images:
        append_line(tmp_path / "log.jsonl", entry(number, **(MEASURED if number == 1 else {})))
    told = {"stopped": 1, "printed": TOTALS, "mended": TOTALS, "counted": "6 requests, 4 answered"}
    log = (tmp_path / "log.jsonl").read_bytes()
    assert for_operators.account(tmp_path, **{**told, "log": log, **changes}) is expected


@pytest.mark.slow
def test_the_operator_loses_nothing():
    done = run("for_operators")
    assert (done.returncode, done.stderr) == (0, "")
    assert " 40 in all; 0 lost, 0 sent twice\n" in done.stdout
    assert "went on from state.previous.npz\n40 images were done before, 0 are left" in done.stdout
    heard, asked, answered = map(
        int,
        re.search(r"(\d+) answers in .* (\d+) requests and answered (\d+)", done.stdout).groups(),
    )
    uploads = [int(n) for n in re.findall(r"40 images, 0 failed; (\d+) estimate", done.stdout)]
    assert uploads == [heard - 40] * 2  # each estimate is two uploads
    assert heard <= answered < asked
