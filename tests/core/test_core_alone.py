"""The core needs numpy alone and works under any name; so does the survival room beside it."""

import shutil
import subprocess
import sys
from pathlib import Path

import adacompress_ref

PACKAGE = Path(adacompress_ref.__file__).parent

ALONE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", ALLOWED}:
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Blocker())

import importlib
import numpy as np

for absent in ("PIL", "onnxruntime", "requests"):
    try:
        importlib.import_module(absent)
    except ImportError:
        continue
    raise SystemExit(f"{absent} was not blocked")

def use(name):
    return importlib.import_module(f"{CORE}.{name}")

roles, Controller = use("roles"), use("controller").Controller

class Image:
    def __init__(self, shape):
        self.state = np.full(shape, 0.25, np.float32)
    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None
    def one(self, action):
        return roles.Upload(10, [roles.Label("cat", 0.9)])

def learn(config, agent, monitor, shape):
    learner = agent(config, shape[-1], np.random.default_rng(0))
    system = Controller(learner, monitor(learner), trained=False)
    for _ in range(5):
        step = system.step(Image(shape))
    print(step.accuracy - 10 / 10)
    return learner
"""

PAPER = """
config = use("config").PAPER.replace(hidden=(4,), batch_size=8, learning_starts=2, learn_every=1)
learner = learn(config, use("agent").DQNAgent, use("estimator").Estimator, (4,))
assert learner.optimiser.steps == 15, learner.optimiser.steps
learner = use("agent").DQNAgent(config.replace(training_steps=9), 4, np.random.default_rng(0))
use("training").train(learner, use("estimator").Estimator(learner), [Image(4)])
"""

SURVIVAL = """
CORE = f"{ALLOWED}.survival"
config, drift = use("config").TUNED, use("drift")
shape = 5, drift.row_length(5)
learner = learn(config, use("agent").SurvivalAgent, use("monitor").Surprise, shape)
assert len(learner.replay) == 5
learner.study([[Image(shape)]])
assert learner.w.any()
"""


def run_alone(name, core, folder, program):
    """Run where nothing but numpy and package `name` of `folder` can be imported."""
    start = f"import sys\nALLOWED, CORE = {name!r}, {core!r}\nsys.path.insert(0, {str(folder)!r})\n"
    command = [sys.executable, "-c", start + ALONE + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"0.0"}  # 1 - 10 / 10


def test_core_and_survival_work_where_numpy_is_all_there_is():
    run_alone(PACKAGE.name, f"{PACKAGE.name}.core", PACKAGE.parent, PAPER + SURVIVAL)


def test_the_core_copied_as_a_folder_works_under_another_name(tmp_path):
    shutil.copytree(PACKAGE / "core", tmp_path / "somebody_elses")
    run_alone("somebody_elses", "somebody_elses", tmp_path, PAPER)
