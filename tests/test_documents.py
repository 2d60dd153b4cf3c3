"""The pages do what they say: their examples print what stands below, their links lead somewhere.

`python tests/make_documents.py` makes anew what follows from the code.
"""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

from adacompress_ref.cli import main as cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = (ROOT / "adacompress_ref" / "cli" / "README.md").read_text("utf-8")
HOUSE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

_spec = importlib.util.spec_from_file_location("make_documents", ROOT / "tests/make_documents.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


def name(page):
    return str(page.relative_to(ROOT))


def linked(text):
    """The targets of links and pictures outside of code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`(?!\])", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^()\s]+)\)", prose)


def anchors(text):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", make.PAGES, ids=name)
def test_what_follows_from_the_code_is_what_it_is(page):
    assert make.made_anew(page) == page.read_text("utf-8"), "run python tests/make_documents.py"


@pytest.mark.parametrize("page", make.PAGES, ids=name)
def test_links_lead_to_what_is_there(page):
    for target in linked(page.read_text("utf-8")):
        path, _, place = target.partition("#")
        if target.startswith("https://"):
            continue
        file = page.parent / path if path else page
        assert file.exists(), target
        if place and file.suffix == ".md":
            assert place in anchors(file.read_text("utf-8")), target
        elif place:  # make_documents says whether it is the right line
            assert re.fullmatch(r"L\d+", place), target


@pytest.mark.parametrize("page", make.PAGES, ids=name)
def test_links_to_the_authors_have_commit_and_line(page):
    for target in linked(page.read_text("utf-8")):
        if re.match(r"https://github.com/(hosea1008|ZhaoliangHe)/[\w-]+/", target):
            assert re.search(r"/blob/[0-9a-f]{40}/[^#]+#L\d+(-L\d+)?$", target), target


@pytest.mark.parametrize("page", make.PAGES, ids=name)
def test_the_commands_of_a_page_run(page, monkeypatch, tmp_path):
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    shutil.copytree(ROOT / "photos", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        if program == "adacompress":
            quick = ["--steps", "20"] if arguments[0] == "train" else []
            assert cli.main([*arguments, *quick]) == 0, command


def test_every_command_is_in_the_table_of_commands_and_can_be_read():
    commands = cli.parser()._subparsers._group_actions[0].choices
    assert {each for each in commands if f"\n| `{each} " in COMMANDS} == set(commands)


def test_two_commands_do_all_the_set_up():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [len(block.splitlines()) for block in blocks[:2]] == [1, 1]


def test_the_readme_is_read_in_five_minutes():
    prose = re.sub(r"```.*?```|^\|.*?$", "", README, flags=re.DOTALL | re.MULTILINE)
    assert 110 <= len(README.splitlines()) <= 150
    assert len(re.sub(r"\]\([^)]*\)", "]", prose).split()) <= 1000


def test_each_formula_is_in_the_readme_with_its_line():
    rows = re.findall(r"^\| (AC-\d) \|.*\| (.+) \|$", README, re.MULTILINE)
    assert [tag for tag, _ in rows] == [f"AC-{number}" for number in range(1, 10)]
    for tag, functions in rows:
        (first, line), *_ = re.findall(r"`(\w+)`\]\([\w/]+\.py#L(\d+)\)", functions)
        lines = re.search(r"\(([\w/]+\.py)#", functions)[1]
        source = (ROOT / lines).read_text("utf-8").splitlines()
        assert source[int(line) - 1].startswith(f"def {first}("), tag


@pytest.mark.parametrize("photo", sorted((ROOT / "photos").glob("*.jpg")), ids=lambda p: p.stem)
def test_the_photographs_of_the_first_run_are_known_at_quality_75(photo):
    import adacompress_ref as ac
    from adacompress_ref.imaging import codec, read
    from adacompress_ref.imaging.encoding import REFERENCE

    known = {
        **{"cat": "Egyptian cat", "coffee": "espresso", "hammer": "hammer", "pan": "frying pan"},
        **{"rocket": "missile", "screwdriver": "screwdriver", "tape": "rule", "tripod": "tripod"},
    }[photo.stem]
    payload = codec.encode(read.read(photo).picture, REFERENCE)
    assert ac.open_service("squeezenet").label(payload)[0].name == known
    assert known in README.replace("\n", " ")
    assert f"| `{photo.name}` |" in (ROOT / "photos" / "SOURCES.md").read_text("utf-8")


WHOLE = ("services", "server", "report", "cli")  # rooms whose files are not listed one by one
ROOMS = sorted(path.parent.name for path in (ROOT / "adacompress_ref").glob("*/__init__.py"))


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_room_and_every_file_is_in_the_table_of_files(room):
    files = HOUSE[HOUSE.index("## The house") :]
    lines = [line for line in files.splitlines() if line.startswith("|")]
    rows = [line for line in lines if f"`{room}/`" in line] if room else [files]
    assert len(rows) == 1
    if room not in WHOLE:
        for path in (ROOT / "adacompress_ref" / room).glob("[a-z]*.py"):
            assert f"`{path.name}`" in rows[0], path
