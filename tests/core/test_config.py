"""The paper's config: what is refused, and what sets the two presets apart."""

import dataclasses
import json

import pytest

from adacompress_ref.core.config import AUTHORS, PAPER, PRESETS, Config

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("config", PRESETS, ids=lambda config: config.preset)
def test_a_preset_comes_back_from_json(config):
    assert Config(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *(({"encodings": each}, "encodings") for each in ((), ("a", "a"), (5,), 5, "jpeg-q5")),
        *(({"hidden": each}, "hidden") for each in ("64", 64, (64, 0), (64, "32"), ((64,),))),
        *(({"window": each}, "window") for each in (0, -10, 10.0, True)),
        *(({"gamma": each}, "gamma") for each in ("0.95", None, True, NAN)),
        *(({"target": each}, "target") for each in ("stroed", "", None, "drawn or stored")),
        ({"flush": None}, "flush"),
        ({"omega": -INF}, "omega"),
        ({"learning_rate": INF}, "learning_rate"),
        ({"return_accuracy": "0.8"}, "return_accuracy"),
        ({"explore_anew": 1}, "explore_anew"),
        ({"preset": 5}, "preset"),
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused_by_the_fields_name(fields, named):
    for make in (Config, PAPER.replace):
        with pytest.raises(ValueError, match=f"^config field '{named}': ") as caught:
            make(**fields)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "limits"),
    [
        ("p_0", 7, "in [0, 1]"),
        ("gamma", 1.5, "in [0, 1)"),
        ("gamma", 1, "in [0, 1)"),
        ("learning_rate", -1, "in (0, inf)"),
        ("learning_rate", 0, "in (0, inf)"),
        ("omega", +3, "in (-inf, 0]"),
        ("epsilon_decay", 2, "in (0, 1]"),
        ("epsilon_decay", 0, "in (0, 1]"),
        ("alpha", 0.0, "in (0, inf)"),
        ("pooling", "max", "global or corner"),
        ("retrain_rule", "surprise", "earliest or threshold"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_range(field, value, limits):
    with pytest.raises(ValueError) as caught:
        PAPER.replace(**{field: value})
    assert str(caught.value) == f"config field {field!r}: {value!r} must be {limits}"


def test_the_ends_of_a_range_are_in_it_where_the_bracket_is_square():
    config = PAPER.replace(gamma=0, omega=0, epsilon_decay=1, epsilon_min=1, hidden=())
    assert (config.gamma, config.omega, config.epsilon_decay, config.hidden) == (0, 0, 1, ())


@pytest.mark.parametrize("chances", [(0.2, 0.3, 0.2), (0.1, 0.2, 0.9), (1.0, 0.2, 0.9)])
def test_p_0_lies_between_p_min_and_p_max(chances):
    p_0, p_min, p_max = chances
    with pytest.raises(ValueError, match=r"'p_0': .* must be in \[p_min, p_max\]"):
        PAPER.replace(p_0=p_0, p_min=p_min, p_max=p_max)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config)])
def test_every_field_is_checked(name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        PAPER.replace(**{name: object()})


@pytest.mark.parametrize("field", ["agreement", "anchor", "surprise_limit", "shift_limit", "gama"])
def test_a_field_that_these_presets_do_not_use_cannot_be_set(field):
    for make in (Config, PAPER.replace, AUTHORS.replace):
        with pytest.raises(TypeError, match=field):
            make(**{field: 1.0})


def test_a_config_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAPER.gamma = 0.0  # type: ignore[misc]


def test_the_constants_that_both_share():
    for config in PRESETS:
        assert config.encodings == tuple(
            f"jpeg-q{q}" for q in (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)
        )
        assert (config.alpha, config.beta) == (1, 0)
        assert config.hidden == (64, 32, 32)
        assert (config.learning_rate, config.beta_1, config.beta_2) == (0.002, 0.9, 0.999)
        assert config.adam_epsilon == 1e-7
        assert config.gamma == 0.95
        assert config.hold_other_outputs is True
        assert (config.replay_capacity, config.batch_size) == (2000, 256)
        assert config.gradient_passes == 5
        assert (config.learning_starts, config.learn_every) == (128, 5)
        assert config.training_steps == 1600
        assert (config.epsilon_decay, config.epsilon_min) == (0.99, 0.02)
        assert (config.window, config.omega) == (10, -3)
        assert (config.p_0, config.p_min, config.p_max) == (0.2, 0.2, 0.95)
        assert config.retrain_drop == 0.1
        assert config.retrain_threshold == 0.8
        assert config.return_reward == 0.45


def test_authors_and_paper_differ_where_the_sources_do_and_nowhere_else():
    different = {
        field.name: (getattr(PAPER, field.name), getattr(AUTHORS, field.name))
        for field in dataclasses.fields(Config)
        if getattr(PAPER, field.name) != getattr(AUTHORS, field.name)
    }
    assert different == {
        "preset": ("paper", "authors"),
        "resize": ("bilinear", "nearest"),
        "pooling": ("global", "corner"),
        "reference_labels": (5, 1),
        "target": ("drawn", "stored"),
        "epsilon_dips": (False, True),
        "window_includes_current": (True, False),
        "retrain_rule": ("earliest", "threshold"),
        "return_accuracy": (-1.0, 0.8),
        "return_epsilon": (1.0, 0.2),
        "flush": ("exit", "entry"),
        "explore_anew": (True, False),
    }
