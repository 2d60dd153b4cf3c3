"""The page of a run or an evaluation: its numbers, its pictures, and nothing that it loads."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from adacompress_ref import AdaCompress, report
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.report import charts, timeline
from adacompress_ref.report.heatmaps import explain
from adacompress_ref.running import runlog
from adacompress_ref.running.state import StateFolder
from adacompress_ref.storage.files import printable

HOSTILE = '<script>alert("1")</script>\x1b.jpg'
SEEN = [["cat", 0.75], ["dog", 0.25]]


def line(number, agreement=None, **changes):
    """Inference of 300 bytes, or, where it has an agreement, 300 and 1000 bytes of estimate."""
    measured = agreement is not None
    return dict.fromkeys(runlog.FIELDS) | {
        "image": f"{number}.jpg",
        "state": "estimate" if measured else "inference",
        "encoding": "jpeg-q15",
        "bytes": 300,
        "bytes_sent": 1300 if measured else 300,
        "reference_bytes": 1000,
        "original_bytes": 2000,
        "answered_by": "reference" if measured else "compressed",
        "labels": SEEN,
        "compressed_labels": [["fox", 0.5]] if measured else None,
        "agreement": agreement,
        "p_est": 0.25,
        "alpha": 1.0,
        **changes,
    }


LINES = [
    line(1, 1.0),
    line(2),
    line(3, 0.0, image=HOSTILE, labels=[["<img src=x>", 0.9]]),
    line(4, 0.0, encoding="jpeg-q5", p_est=None),
    line(5, encoding="<b>&"),
    dict.fromkeys(runlog.FIELDS) | {"image": "6.jpg", "error": "6.jpg: empty file"},
]
TIMES = [{"decision": seconds} for seconds in (0.001, 0.0008, 0.004)]


class Page(HTMLParser):
    """Tags, and the texts that a reader sees, from a page that is well-formed but for voids."""

    VOID = ("meta", "link", "img")

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_run():
    settings = {"service": "fake", "window": 30, "encodings": ("jpeg-q5", "jpeg-q75")}
    page = Page(report.of_run(LINES, TIMES, settings))
    assert "jpeg-q5, jpeg-q75" in page.texts
    for text in ("6 images for fake", "3 estimate, 2 inference; 1 failed", "fake", "window", "30"):
        assert text in page.texts
    assert "90.0%" in page.texts  # 3 x 1300 and 2 x 300 of 5 x 1000 bytes
    assert "30.0%" in page.texts
    assert "0.333" in page.texts  # 1 of 3
    whole = "".join(page.texts)
    assert "4.5 KB of 5 KB" in whole and "45.0% of the files" in whole
    assert "saves 100 bytes an image" in whole and "Above 0.8 Mbit/s" in whole
    places = [page.texts.index(name) for name in ("<b>&", "jpeg-q5", "jpeg-q15")]
    assert places == sorted(places)
    assert page.texts[places[2] + 1 : places[2] + 3] == ["3", "60.0%"]


def test_nothing_in_it_is_code_or_comes_from_elsewhere():
    pictures = b"one", b"two", b"three"
    lost = zip(report.disagreements(LINES), ("", "nothing speaks for it"), strict=True)
    cases = [report.Case(line, *pictures, verdict) for line, verdict in lost]
    html = report.of_run(LINES, TIMES, {"service": HOSTILE}, cases)
    page = Page(html)
    assert {tag for tag, _ in page.tags} >= {"img", "svg", "details"}
    assert not page.named("script") + page.named("b")
    maps = [each for each in page.texts if each.startswith("Heat map: ")]
    assert [each.partition(" for ")[0] for each in maps] == [
        "Heat map: orange speaks",
        "Heat map: nothing speaks",
    ]
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "\x1b" not in html and "<img src=x>" in page.texts
    assert '<script>alert("1")</script>\\x1b.jpg' in page.texts
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.named("meta")[1]["content"]
    assert html.count('<svg class="') == html.count('role="img"><title>') > 3


def test_the_surest_labels_that_were_lost_come_first():
    assert [each["image"] for each in report.disagreements(LINES)] == [HOSTILE, "4.jpg"]


def test_a_run_without_answers_or_times():
    page = Page(report.of_run(LINES[-1:], [], {}))
    assert "1 failed" in "".join(page.texts)
    assert "Not known" in report.of_run(LINES, [], {})
    assert "On any link" in report.of_run(LINES[:1], TIMES, {})  # saves nothing


def test_break_even_by_hand():
    """100 bytes an image are saved, 800 bits, in the median decision of 1 ms: 0.8 Mbit/s."""
    totals = runlog.summary(LINES, TIMES)
    assert report.break_even(totals) == pytest.approx(0.8)
    assert report.break_even(totals | {"bytes_sent": 6000}) == 0
    assert report.break_even(runlog.summary(LINES, [])) is None


def test_interval_of_a_share_against_published_values():
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    for kept, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)]:
        assert runlog.interval(kept / count, count) == pytest.approx((low, high), abs=5e-5)
    assert runlog.interval(1.0, 30) == pytest.approx((0.8865, 1), abs=5e-5)


def test_running_means_by_hand():
    assert timeline._agreement(LINES[:5]).tolist() == [1, 1, 1 / 2, 1 / 3, 1 / 3]
    assert np.isnan(timeline._agreement(LINES[1:3])[0])
    assert timeline._ratios(LINES[:5])[0].tolist() == pytest.approx([1.3, 0.8, 2.9 / 3, 1.05, 0.9])
    many = np.concatenate([np.ones(30), np.zeros(5)])
    assert timeline._recent(many, np.ones(35), 10)[[8, 29, 34]].tolist() == [1, 1, 0.5]


def test_long_runs_make_short_pages():
    states = [line(n, (None, 1.0, 0.0)[n % 3]) for n in range(20_000)]
    assert len(report.of_run(states, [], {})) < 200_000


def test_states_are_shaded():
    lines = [line(1), line(2, 1.0), line(3, 1.0), line(4, 1.0, state="retrain")]
    rects = Page(report.of_run(lines, [], {})).named("rect")[:2]
    assert [(each["class"], each["x"], each["width"]) for each in rects] == [
        ("estimate", "25.000%", "50.000%"),
        ("retrain", "75.000%", "25.000%"),
    ]


def test_what_was_lost_is_marked_where_it_was():
    page = Page(timeline.section_of(LINES[:5]))
    assert [each["cx"] for each in page.named("circle")] == ["50.00%", "70.00%"]
    assert page.texts[page.texts.index("4: 4.jpg") - 1] == f"3: {printable(HOSTILE)}"


@pytest.mark.parametrize(("high", "top"), [(1.9, 2.0), (2, 2.0), (0.2, 1.0), (np.nan, 1.0)])
def test_values_have_heights(high, top):
    curves = [np.array([0.5, 0.5]), np.array([0.25, high])]
    page = Page(charts.plot("t", curves, "{:.0%}", {}, {}, {0.25: "1"}, {}))
    texts = [each for each in page.texts if "%" in each]
    assert (texts[0], texts[-1], len(texts)) == ("0%", f"{top:.0%}", 2 * top + 1)
    assert [page.named("line")[place]["y1"] for place in (0, -1)] == ["100.00%", "0.00%"]
    height = f"{1000 * (1 - 0.5 / top):.1f}"
    assert page.named("path")[0]["d"] == f"M250.0,{height}h0L750.0,{height}"


def test_curves_have_gaps_and_ticks_are_round():
    assert charts._path(np.array([np.nan, 0.5, np.nan, 1, 0])) == (
        "M300.0,500.0h0M700.0,0.0h0L900.0,1000.0"
    )
    assert charts.round_steps(220) == [50, 100, 150, 200]
    assert charts.round_steps(3) == [1, 2, 3]
    assert charts.round_steps(12_000) == [5000, 10_000]


POOR = {"agreement": 0.25, "size_ratio": 0.2, "reward": 0.05}
GOOD = {"agreement": 0.9, "size_ratio": 0.3, "reward": 0.6}
EVALUATION = {
    "images": 43,
    "unlabelled": 0,
    "service": "fake",
    "alpha": 1.0,
    "preset": "tuned",
    "policies": [
        {"name": name, **means, "images": 43, "intervals": intervals}
        for name, means, intervals in [
            ("fixed-5", POOR, {measure: [mean, mean] for measure, mean in POOR.items()}),
            ("agent", GOOD, {measure: [0.1, 1] for measure in GOOD}),
        ]
    ],
    "best_fixed": "fixed-5",
    "gap_captured": 0.147,
    "saving_vs_fixed": 0.074,
}


def test_an_evaluation():
    page = Page(report.of_evaluation(EVALUATION))
    for text in ("fixed-5", "0.250 ", "0.900 ", "0.100–1.000", "14.7%", "7.4%"):
        assert text in page.texts
    assert "chosen on unknown images" in "".join(page.texts)
    named = report.of_evaluation(EVALUATION | {"best_fixed_chosen_on": "training images"})
    assert "fixed-5, chosen on training images, to" in named
    scale = page.texts.index("scale")
    assert page.texts[scale + 1 : scale + 7] == ["0.1", "1", "0.1", "1", "0", "1"]
    lines = [each for each in page.named("line") if "x2" in each]
    assert lines[3] == {"x1": "0.00%", "x2": "100.00%", "y1": "50%", "y2": "50%"}  # of the agent
    assert page.named("circle")[0]["cx"] == "16.67%"  # .25 from .1 to 1


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def logged(tmp_path, photos):
    """A state folder whose log has a lost label of clock.jpg, and an agent."""
    photo = images.read(photos / "clock.jpg")
    five, reference = (Encoding("jpeg", None, quality) for quality in (5, 75))
    payload = codec.encode(photo.picture, five, own_tables=True)
    sizes = [len(payload), len(codec.encode(photo.picture, reference))]
    changes = {
        "sha256": hashlib.sha256(photo.file).hexdigest(),
        "encoding": "jpeg-q5",
        "bytes": sizes[0],
        "reference_bytes": sizes[1],
        "bytes_sent": sum(sizes),
        "image": "clock.jpg",
    }
    state = StateFolder(tmp_path / "state", {"service": "fake", "alpha": None})
    for each in (*LINES[:2], line(1, 0.0, **changes)):
        state.append(each, {"decision": 0.01})
    state.save(AdaCompress.load(threads=1).controller)
    state.close()
    return state.path


def pictures(html):
    found = re.findall('src="data:image/jpeg;base64,([^"]*)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_the_command(adacompress, logged, photos, tmp_path):
    before = {path: path.read_bytes() for path in logged.iterdir()}
    status, out, err = adacompress(
        "report", logged, "--images", photos, "-o", "page.html", "--json"
    )
    assert status == 0, err
    assert json.loads(out)["images"] == 3
    assert "page.html: written" in err
    html = (tmp_path / "page.html").read_text("utf-8")
    assert "3 images for fake" in html and "reference_labels" in html
    reference, compressed, heat = (np.asarray(each, float) for each in pictures(html))
    photo = images.read(photos / "clock.jpg")
    assert reference.shape == compressed.shape == heat.shape
    small = codec.resized(photo.picture, reference.shape[1::-1], "bilinear")
    errors = [np.abs(each - small).mean() for each in (reference, compressed, heat)]
    assert errors[0] < errors[1] / 2 < errors[2] / 4
    verdict = explain(AdaCompress.load(threads=1), photo, "5").verdict
    assert f"Heat map: {verdict or 'orange speaks for this level'}, blue" in html
    assert {path: path.read_bytes() for path in logged.iterdir()} == before


def test_a_log_alone(adacompress, logged, photos, tmp_path):
    log = shutil.copy(logged / "log.jsonl", tmp_path)
    status, _, err = adacompress("report", log, "--images", photos, "-o", "page.html")
    assert (status, "no heat maps without the run's agent" in err) == (0, True)
    assert len(pictures((tmp_path / "page.html").read_text("utf-8"))) == 2
    agent = "--preset", "ladder"
    status, _, err = adacompress("report", log, "--images", photos, "-o", "page.html", *agent)
    assert (status, "clock.jpg: no heat map: level jpeg-q5: must be one of" in err) == (0, True)
    status, _, _ = adacompress("report", log, "-o", "page.html", "--worst", 0)
    assert (status, "Worst" in (tmp_path / "page.html").read_text("utf-8")) == (0, False)


def test_a_heat_map_of_webp(adacompress, logged, photos, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text((logged / "log.jsonl").read_text().replace("jpeg-q5", "webp-160-q40"))
    status, _, err = adacompress(
        *("report", log, "--images", photos, "-o", "page.html", "--preset", "ladder")
    )
    assert (status, "no heat map" in err) == (0, False)
    assert len(pictures((tmp_path / "page.html").read_text("utf-8"))) == 3


def test_photographs_that_are_not_those_of_the_run(adacompress, logged, photos, tmp_path):
    (tmp_path / "others").mkdir()
    shutil.copy(photos / "coffee.jpg", tmp_path / "others" / "clock.jpg")
    (logged / "state.npz").write_bytes(b"damaged")
    status, _, err = adacompress("report", logged, "--images", "others", "-o", "page.html")
    assert status == 1
    assert "clock.jpg: not the file that was sent" in err and "state.npz: damaged" in err
    html = (tmp_path / "page.html").read_text("utf-8")
    assert "clock.jpg" in html and not pictures(html)


def test_the_command_for_an_evaluation(adacompress, tmp_path):
    (tmp_path / "e.json").write_text(json.dumps(EVALUATION))
    status, out, _ = adacompress("report", "e.json", "-o", "page.html")
    assert (status, out) == (0, "")
    assert "AdaCompress evaluation" in (tmp_path / "page.html").read_text("utf-8")


def test_pipes(piped, tmp_path):
    evaluation = json.dumps(EVALUATION).encode()
    status, page, _ = piped(evaluation, "report", "-", "-o", "-")
    assert (status, page.startswith(b"<!doctype html>"), page[-8:]) == (0, True, b"</html>\n")
    assert piped(evaluation, "report", "-", "-o", "page.html")[:2] == (0, b"")
    assert (tmp_path / "page.html").read_bytes() == page
    for data, text in {None: "closed", b"": "not what evaluate --json printed"}.items():
        status, out, err = piped(data, "report", "-", "-o", "no.html")
        assert (status, out, err.count("\n"), text in err) == (2, b"", 1, True)
    assert not (tmp_path / "no.html").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ("nothing -o x.html", "nothing: no such file; name a run's state folder"),
        ("bare -o x.html", "bare/log.jsonl: no such file"),
        ("empty -o x.html", "empty: no image is in it yet"),
        ("noise -o x.html", "noise: neither a run's log (line 1 is no JSON object) nor"),
        ("other -o x.html", "other: neither a run's log (line 1: has no accuracy) nor"),
        ("torn -o x.html", "torn: damaged (has no 'gap_captured')"),
        ("nan -o x.html", "nan: damaged (nan is no number)"),
        ("log -o log", "log: the page is HTML; name a file that ends in .html"),
        ("log -o none/x.html", "there is no such folder"),
        ("log -o x.html --preset tuned", "name --images too"),
        ("log -o x.html --worst -1", "at least 0"),
        ("log -o x.html --images nothing", "name a readable folder"),
    ],
)
def test_unusable_arguments(adacompress, tmp_path, arguments, match):
    (tmp_path / "bare").mkdir()
    torn = {name: value for name, value in EVALUATION.items() if name != "gap_captured"}
    for name, text in {
        "empty": "",
        "noise": "\x89PNG\n\n",
        "other": '{"image": "a"}\n',
        "torn": json.dumps(torn),
        "nan": json.dumps(EVALUATION | {"gap_captured": float("nan")}),
        "log": json.dumps(LINES[3]) + "\n",
    }.items():
        (tmp_path / name).write_text(text, "latin-1")
    status, out, err = adacompress("report", *arguments.split())
    assert (status, out) == (2, "")
    assert match in err.splitlines()[-1]
    assert not list(tmp_path.glob("*.html"))


# A browser -------------------------------------------------------------------------------------


def browse(page, folder):
    """What Chromium makes of a page, and its console, which names each load that is refused."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("chromium is not installed: it is the judge")
    done = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", f"--user-data-dir={folder / 'profile'}"),
            *("--enable-logging=stderr", "--v=0", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    return done.stdout, [each for each in done.stderr.splitlines() if ":CONSOLE" in each]


@pytest.mark.slow
def test_in_a_browser(adacompress, logged, photos, tmp_path):
    with open(logged / "log.jsonl", "a") as log:
        numbered = (each | {"number": 3 + place} for place, each in enumerate(LINES[2:]))
        log.write("".join(json.dumps(each) + "\n" for each in numbered))
    status, out, err = adacompress(
        "report", logged, "--images", photos, "-o", "page.html", "--json"
    )
    assert (status, "cannot be read" in err or "no such" in err.lower()) == (1, True)
    page = tmp_path / "page.html"
    shown, console = browse(page, tmp_path)
    assert console == []
    totals = json.loads(out)
    for number in (f"{100 * totals['net_size_ratio']:.1f}%", f"{totals['agreement']:.3f}"):
        assert f">{number}<" in shown
    assert "&lt;script&gt;" in shown and "<script" not in shown
    bad = tmp_path / "bad.html"
    loading = '<img src="http://localhost/x.png" onerror="alert(1)"></main>'
    bad.write_text(page.read_text("utf-8").replace("</main>", loading), "utf-8")
    assert len(browse(bad, tmp_path)[1]) == 2  # so the console would have told
