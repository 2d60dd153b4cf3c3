"""What is built from the sources installs and works elsewhere, with the oldest packages too."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import adacompress_ref

ROOT = Path(__file__).parent.parent


def run(*command, **options):
    """What a command prints, away from the checkout."""
    hidden = ("PYTHONPATH", "ADACOMPRESS_WEIGHTS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The paths of an sdist and of the wheel made from it."""
    pytest.importorskip("build.__main__", reason="the extra `dev` installs build")
    folder = tmp_path_factory.mktemp("built")
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info")  # what older builds left behind
    shutil.copytree(ROOT, folder / "sources", ignore=ignored)
    command = [sys.executable, "-m", "build", folder / "sources", "--outdir", folder]
    subprocess.run(command, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


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
