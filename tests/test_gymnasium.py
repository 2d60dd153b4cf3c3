"""The environment before the judges of others: Gymnasium's checker, Stable-Baselines3's DQN."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adacompress_ref
from adacompress_ref.agents import preset, presets, view_of
from adacompress_ref.tables.environment import Environment, RecordedImage

env_checker = pytest.importorskip(
    "gymnasium.utils.env_checker", reason="the extra `test` installs gymnasium"
)
from adacompress_ref.gymnasium import GymnasiumEnvironment  # noqa: E402

SIZES = [[20, 50, 100], [30, 120, 100]]
LABELS = [[("dog",), ("cat",), ("cat",)], [("cow",), ("cow",), ("cow",)]]


@pytest.fixture
def recorded(make_table):
    """A function: the environment of two recorded images as a preset has it."""

    def make(name, kind=GymnasiumEnvironment):
        config = preset(name).replace(encodings=("jpeg-q5", "webp-64-q25"))
        table = make_table(LABELS, SIZES, config.encodings)
        images = [RecordedImage(table, row, view_of(config)) for row in range(2)]
        return kind(images, config, np.random.default_rng(0))

    return make


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", presets())
def test_gymnasiums_checker(recorded, name):
    env = recorded(name)
    env_checker.check_env(env, skip_render_check=True)
    inputs = {"tuned": (2, 14), "ladder": (2, 14)}.get(name, (1280,))
    assert (env.observation_space.shape, env.action_space.n) == (inputs, 2)


def test_the_same_steps_as_without_gymnasium(recorded):
    one, other = recorded("tuned"), recorded("tuned", Environment)
    pairs = [(one.reset(seed=3), other.reset(seed=3))]
    pairs += [(one.step(action), other.step(action)) for action in (0, 1, 1, 0)]
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]


def test_an_action_that_is_closed_does_not_fit(recorded):
    env = recorded("ladder")
    state = env.reset()[0]
    assert state in env.observation_space
    state[1, -1] = np.inf
    assert state not in env.observation_space


def test_the_package_does_not_import_it():
    program = "import sys, adacompress_ref as ac; ac.Environment; print('gymnasium' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", presets())
def test_the_dqn_of_stable_baselines3_learns_in_it(recorded, name):
    baselines = pytest.importorskip("stable_baselines3", reason="the extra `bench` installs it")
    env = recorded(name)
    options = {"learning_starts": 100, "learning_rate": 0.002, "gamma": 0.0, "seed": 0}
    agent = baselines.DQN("MlpPolicy", env, exploration_fraction=0.5, device="cpu", **options)
    agent.learn(1000)
    # quality 5 changes the label of the first image and keeps that of the second
    assert [agent.predict(each.state, deterministic=True)[0] for each in env.images] == [1, 0]


@pytest.mark.slow
def test_the_example_of_the_page(capsys):
    pytest.importorskip("stable_baselines3", reason="the extra `bench` installs it")
    page = (Path(adacompress_ref.__file__).parent / "core" / "README.md").read_text("utf-8")
    before, example = re.search(r"(.*)^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE).groups()
    names = {}
    exec(re.findall(r"```python\n(.*?)```", before, re.DOTALL)[-1], names)
    assert capsys.readouterr().out == "[0 3]\n"
    exec(example, names)
    assert capsys.readouterr().out == "[0 3]\n"
    assert "# [0 3]\n" in example
