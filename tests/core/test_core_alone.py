"""The core needs numpy alone, works under any name, and nothing in the package unpickles."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import adacompress_ref
from adacompress_ref.vendor import CORE, vendor

PACKAGE = Path(adacompress_ref.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", ALLOWED}:
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Blocker())
"""

USE = """
import importlib
import numpy as np

config, equations, qnetwork, replay, arrays, agent, survival, changes, controller = (
    importlib.import_module(f"{ALLOWED}.{name}") for name in CORE
)
for absent in ("PIL", "onnxruntime", "requests"):
    try:
        importlib.import_module(absent)
    except ImportError:
        continue
    raise SystemExit(f"{absent} was not blocked")

class Image:
    def __init__(self, shape):
        self.state = np.ones(shape, np.float32)
    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None

    def one(self, action):
        return controller.Upload(10, [controller.Label("cat", 0.9)])

settings = config.preset("paper").replace(
    hidden=(4,), batch_size=8, learning_starts=2, learn_every=1, return_reward=9.0
)
learner = agent.DQNAgent(settings, 4, np.random.default_rng(0))
system = controller.Controller(learner, trained=False)
for _ in range(5):
    step = system.step(Image(4))
assert learner.optimiser.steps == 15, learner.optimiser.steps
learner.save("agent.npz")
agent.DQNAgent.load("agent.npz")

settings = config.preset("tuned").replace(batch_size=8, learning_starts=2)
learner = agent.DQNAgent.create(settings, 4, np.random.default_rng(0))
assert isinstance(learner, survival.SurvivalAgent)
system = controller.Controller(learner, trained=False)
assert isinstance(system.watch, changes.Watch)
for _ in range(5):
    step = system.step(Image((10, 4)))
assert learner.optimiser.steps == 45, learner.optimiser.steps
learner.save("agent.npz")
agent.DQNAgent.load("agent.npz")
print(step.reward)
"""


def run_alone(name, folder, work):
    """Use the core as package `name` of `folder` where nothing but numpy can be imported."""
    program = (
        f"import sys\nALLOWED, CORE = {name!r}, {CORE!r}\nsys.path.insert(0, {str(folder)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + BLOCKER + USE],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0.0\n"  # 1 - 10 / 10


def test_the_core_works_where_numpy_is_all_there_is(tmp_path):
    run_alone(PACKAGE.name, PACKAGE.parent, tmp_path)


def test_its_files_work_alone_under_another_name(tmp_path):
    vendor(str(tmp_path / "somebody_elses"), core=True)
    run_alone("somebody_elses", tmp_path, tmp_path)


def imports(tree):
    """(module, level) of each import; level 0 is absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def in_package(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=in_package)
def test_a_file_names_its_own_package_by_relative_imports_alone(path):
    for module, level in imports(tree_of(path)):
        assert level or module.partition(".")[0] != PACKAGE.name, module


@pytest.mark.parametrize("name", CORE)
def test_a_file_of_the_core_imports_numpy_the_standard_library_and_the_core(name):
    for node in ast.walk(tree_of(PACKAGE / f"{name}.py")):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            # `from . import equations` or `from .equations import ...`
            named = [node.module] if node.module else [alias.name for alias in node.names]
            # reading Keras files is an extra, imported where it is asked for
            assert set(named) <= {*CORE, "keras_file"}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for module, _ in imports(node):
                assert module.partition(".")[0] in {*sys.stdlib_module_names, "numpy"}


@pytest.mark.parametrize("path", FILES, ids=in_package)
def test_no_file_unpickles(path):
    tree = tree_of(path)
    for module, _ in imports(tree):
        top = module.partition(".")[0]
        assert top not in {
            "pickle",
            "cPickle",
            "dill",
            "cloudpickle",
            "joblib",
            "shelve",
            "marshal",
        }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"np.load", "numpy.load"}:
            assert any(keyword.arg == "allow_pickle" for keyword in node.keywords)
