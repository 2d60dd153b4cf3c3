"""What tests of running systems share: scripted images, small systems, and all they hold."""

from collections import deque

import numpy as np

from adacompress_ref.agents import monitor_of, preset
from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.estimator import Estimator
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.survival.agent import SurvivalAgent

SCRIPT = {"good": ["cat"], "bad": ["dog"]}  # what the compressed upload returns; reference: cat
LEVELS = ("jpeg-q5", "jpeg-q15", "jpeg-q25")
INPUTS = 9 + 2 + 3 + 3  # as preset `ladder` has them, with three actions
CERTAIN = {"p_0": 1.0, "p_min": 1.0, "p_max": 1.0}


class Image:
    """An image whose uploads are scripted; `sent` says which were made."""

    def __init__(self, answer="good", *, size=25, reference=("cat", "mat"), number=1.0, fail=None):
        self.state = np.array([number, 0.0], np.float32)
        self.answer, self.size, self.reference, self.fail = answer, size, reference, fail or {}
        self.sent = []

    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None

    def one(self, action):
        which = "reference" if action is None else "compressed"
        if which in self.fail:
            raise self.fail[which]
        self.sent.append(which)
        names = self.reference if action is None else SCRIPT[self.answer]
        return Upload(100 if action is None else self.size, [Label(name, 0.9) for name in names])


class Sized(Image):
    """An image as the project's own agent sees it: a row for each action, its ds last.

    Each has `inputs` numbers: of the image, the first of which is `number`, which action it is, and
    of sizes, the reference having 100 bytes.
    """

    def __init__(
        self, answer="good", *, ratios=(0.25, 0.5, 0.75), score=0.9, inputs=INPUTS, **image
    ):
        super().__init__(answer, **image)
        ratios = np.array(ratios, np.float32)
        shared = np.zeros((len(ratios), inputs - len(ratios) - 3))
        shared[:, 0] = self.state[0]
        sizes = np.stack([np.full_like(ratios, np.log(100)), np.log(ratios), ratios], axis=1)
        self.state = np.hstack([shared, np.eye(len(ratios)), sizes]).astype(np.float32)
        self.score = score

    def one(self, action):
        upload = super().one(action)
        if action is None:
            return upload
        size = round(100 * self.state[action, -1])
        return Upload(size, [Label(label.name, self.score) for label in upload.labels])


def controller(name="authors", *, start="estimate", trained=True, seed=0, epsilon=0.0, **changes):
    """A small system of the paper's that estimates for ever, unless `changes` say otherwise."""
    settings = {"hidden": (4,), "encodings": LEVELS, "batch_size": 4, "gradient_passes": 1}
    config = preset(name).replace(**(settings | CERTAIN | changes))
    agent = DQNAgent(config, 2, np.random.default_rng(seed))
    system = Controller(agent, Estimator(agent), trained)
    agent.epsilon = epsilon
    if trained:
        system.state = start
    return system


def survivor(
    name="tuned", *, start="estimate", trained=True, seed=0, goal=None, frozen=False, **changes
):
    """The same of the project's own, whose alpha stays, unless there is a `goal`.

    `frozen`: services do not differ, so estimates teach nothing, and P stays one half.
    """
    settings = {"encodings": LEVELS, "early_losses": 1e6, "p_0": 1.0, "p_min": 1.0}
    config = preset(name).replace(**(settings | changes))
    agent = SurvivalAgent(config, INPUTS, np.random.default_rng(seed))
    agent.aim(None if goal else config.alpha, goal)
    if frozen:
        agent.sigma *= 1e-12
        agent.begin_training()
    system = Controller(agent, monitor_of(agent), trained)
    if trained:
        system.state = start
    return system


def run(system, answers, kind=None, **image):
    """The steps over images with these answers."""
    kind = kind or (Image if isinstance(system.agent, DQNAgent) else Sized)
    return [system.step(kind(answer, **image)) for answer in answers]


def everything(thing, seen=None):
    """All that an object holds, and what it holds holds, as values that can be compared."""
    seen = {} if seen is None else seen
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.tobytes()
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, (list, tuple, deque)):
        return [everything(each, seen) for each in thing]
    if not hasattr(thing, "__dict__") or callable(thing):
        return repr(thing)
    if id(thing) in seen:
        return "seen"
    seen[id(thing)] = thing
    return {name: everything(value, seen) for name, value in vars(thing).items()}
