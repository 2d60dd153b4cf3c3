"""The rows of DIFFERENCES.md and survival/README.md: what they point to exists, none is missing."""

import dataclasses
import importlib.util
import inspect
import json
import re
from pathlib import Path

import pytest

from adacompress_ref.agents import preset
from adacompress_ref.core import equations
from adacompress_ref.core.config import Config
from adacompress_ref.survival.config import SurvivalConfig

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "adacompress_ref"
OF_THE_PAPER = (PACKAGE / "DIFFERENCES.md").read_text("utf-8")
TEXT = OF_THE_PAPER + (PACKAGE / "survival" / "README.md").read_text("utf-8")
PAPERS = {field.name for field in dataclasses.fields(Config)}
OWN = {field.name for field in dataclasses.fields(SurvivalConfig)}
FIELDS = PAPERS | OWN


def tables(text):
    """Every table as a list of dicts from column name to cell."""
    found, names = [], None
    for line in text.splitlines():
        inside = line.strip().removeprefix("|").removesuffix("|")
        cells = [cell.strip() for cell in re.split(r" \|(?= )", inside)]  # some are empty
        if not line.startswith("|"):
            names = None
        elif names is None:
            names = cells
            found.append([])
        elif not line.startswith("|---"):
            found[-1].append(dict(zip(names, cells, strict=True)))
    return found


TABLES = tables(TEXT)
INDEX = next(table for table in TABLES if table and "tag" in table[0])
ROWS = [row for table in TABLES if table and "switch" in table[0] for row in table]
TESTS = {
    name
    for path in (REPOSITORY / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
}

# The points at which the sources are known to mislead: word for word in a row of these numbers.
TRAPS = {
    "minimum in Eq. 1": 1,
    "terms of Eq. 2": 33,
    "sign of omega": 45,
    "what E sees": 16,
    "pooling of the 7 x 7 map": 17,
    "when the target is computed": 21,
    "gamma": 23,
    "the other nine outputs": 24,
    "when a mean is recorded": 34,
    "the retraining counter": 38,
    "when to retrain": 35,
    "flushing D": 36,
    "an answer with an error code": 7,
    "a reference without labels": 5,
    "what it is compared with": 13,
    "reference uploads": 12,
    "epsilon's dip": 30,
    "resize to 224 x 224": 18,
}


def names_in(cell):
    return re.findall(r"`(\w+)`", cell)


def test_the_index_has_every_tag_once_and_in_order():
    tags = [re.match(r"AC-\d", row["tag"])[0] for row in INDEX]
    assert tags == [f"AC-{number}" for number in range(1, 10)]


@pytest.mark.parametrize("row", INDEX, ids=lambda row: row["tag"])
def test_the_index_points_to_what_exists(row):
    tag = row["tag"][:4]
    functions, tests = names_in(row["function"]), names_in(row["tests"])
    assert functions and tests and names_in(row["config fields"])
    for name in functions:
        function = getattr(equations, name)
        assert inspect.isfunction(function)
        if name != "agreement":
            assert function.__doc__.startswith(tag)
    assert set(tests) <= TESTS
    assert set(names_in(row["config fields"])) <= FIELDS


def test_every_formula_is_in_the_index():
    indexed = {name for row in INDEX for name in names_in(row["function"])}
    formulas = {
        name
        for name, value in vars(equations).items()
        if inspect.isfunction(value) and value.__module__ == equations.__name__
    }
    assert indexed == formulas


def test_every_field_is_in_the_index():
    indexed = {name for row in INDEX for name in names_in(row["config fields"])}
    assert indexed == FIELDS - {"preset"}


def test_the_rows_are_numbered():
    assert [int(row["number"]) for row in ROWS] == list(range(1, len(ROWS) + 1))


def test_the_index_leads_to_the_rows_of_each_tag():
    """Numbers in the index are those of the section that has the tag in its heading."""
    for row in INDEX:
        tag = row["tag"][:4]
        section = re.search(rf"^## {tag}: .*?(?=^## )", TEXT, re.MULTILINE | re.DOTALL)[0]
        numbers = [int(found["number"]) for found in tables(section)[0]]
        ends = [int(number) for number in re.findall(r"\d+", row["differences"].split(";")[0])]
        assert (numbers[0], numbers[-1]) == (ends[0], ends[-1])


def test_the_index_leads_once_to_each_row_of_the_presets():
    """Behind a semicolon."""
    added = ";".join(row["differences"].partition(";")[2] for row in INDEX)
    numbers = sorted(map(int, re.findall(r"\d+", added)))
    assert numbers == [int(row["number"]) for row in ROWS if int(row["number"]) > 57]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["number"])
def test_each_row_is_whole_and_says_what_switches_it(row):
    assert all(row.values())
    switch = row["switch"]
    if not switch.startswith("none: "):
        assert names_in(switch)
        assert set(names_in(switch)) <= (PAPERS if int(row["number"]) < 58 else OWN)


def test_every_field_in_which_the_presets_differ_has_a_row():
    switches = {name for row in ROWS for name in names_in(row["switch"])}
    paper, authors = preset("paper"), preset("authors")
    different = {name for name in PAPERS if getattr(paper, name) != getattr(authors, name)}
    assert different - {"preset"} <= switches


def test_every_trap_has_its_row():
    assert len(TRAPS) == 18
    for what, number in TRAPS.items():
        assert ROWS[number - 1]["what"] == what


def test_the_fields_of_the_projects_own_agent_have_a_row():
    switches = {name for row in ROWS for name in names_in(row["switch"])}
    assert switches >= OWN - PAPERS


def test_what_stands_in_a_module_or_class_is_there():
    files = [(path.stem, path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    files.append(("numpy", "def gradient"))
    for first, *names in re.findall(r"`(\w+)\.(\w+)(?:\.(\w+))?`", TEXT):
        if names[0] in ("png", "json"):  # a figure
            assert (REPOSITORY / "bench" / "results" / f"{first}.{names[0]}").exists()
            continue
        if first == "bench":
            assert importlib.util.find_spec(".".join(filter(None, (first, *names))))
            continue
        of_module = "\n".join(text for stem, text in files if stem == first)  # rooms may share one
        of_class = "\n".join(text for _, text in files if f"class {first}" in text)
        for name in filter(None, names):
            pattern = rf"(def |class |^    ){name}\b"
            assert re.search(pattern, of_module or of_class, re.MULTILINE), (first, name)


def test_files_and_rooms_that_are_named_are_there():
    for name in re.findall(r"`([a-z_]+/(?:[a-z_0-9]+\.\w+)?)`", TEXT):
        assert (PACKAGE / name).exists() or (REPOSITORY / name).exists(), name


def test_references_to_rows_are_to_rows():
    for number in re.findall(r"\((?:see )?(\d+)(?:, \d+)*\)", TEXT):
        assert 1 <= int(number) <= len(ROWS)


def test_the_figures_are_those_that_were_measured():
    path = REPOSITORY / "bench" / "results" / "figure_9.json"
    if not path.exists():
        pytest.skip("no measured figures: python -m bench.paper.reproduce makes them")
    policies = {"preset `authors`": "authors", "preset `paper`": "paper", "oracle": "oracle"}
    measured = next(t for t in TABLES if t and t[0].get("policy") and "to" in t[0]["reward"])
    services = json.loads(path.read_text("utf-8"))["services"]
    assert len(measured) == 4 * len(services)
    for place, row in enumerate(measured):
        values = list(services.values())[place // 4][policies.get(row["policy"], "fixed")]
        for column, name in (
            ("agreement", "agreement"),
            ("size ratio", "size_ratio"),
            ("reward", "reward"),
        ):
            found = values[name]
            text = f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
            assert row[column] == text


CLAIMS = next(table for table in TABLES if table and "claim" in table[0])


def test_every_claim_is_answered_by_something_that_is_there():
    """By a row, a test, a figure, a bench, or in words that nothing was measured."""
    assert len(CLAIMS) > 35 and all(all(claim.values()) for claim in CLAIMS)
    sources = "".join(path.read_text("utf-8") for path in (REPOSITORY / "bench").rglob("*.py"))
    for claim in CLAIMS:
        shown = claim["shown by"]
        rows = re.findall(r"rows? (\d+)(?:, (\d+))*(?: to (\d+))?", shown)
        numbers = [int(number) for row in rows for number in row if number]
        assert all(1 <= number <= len(ROWS) for number in numbers)
        for figure in re.findall(r"--only (\w+)", shown):
            assert f'"{figure}": (' in sources
        for test in re.findall(r"`(test_\w+)`", shown):
            assert test in TESTS
        for path in re.findall(r"`(tests/\S+)`", shown):
            assert (REPOSITORY / path).exists()
        if shown == "-":
            assert claim["verdict"].startswith("not ")
        else:
            assert numbers or re.search(r"`|\]\(|picture above", shown), shown
