"""Encodings, the config, and what sets the presets apart."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.config import (
    DEFAULT_PRESET,
    LADDER,
    PRESETS,
    REFERENCE,
    TEN_LEVELS,
    Config,
    Encoding,
    preset,
)

encodings = st.builds(
    Encoding,
    st.sampled_from(["jpeg", "webp"]),
    st.none() | st.integers(1, 10_000),
    st.integers(1, 100),
)


@given(encodings)
def test_an_encoding_is_what_its_name_says(encoding):
    assert Encoding.parse(encoding.name) == encoding


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("jpeg-q15", Encoding("jpeg", None, 15)),
        ("jpeg-224-q15", Encoding("jpeg", 224, 15)),
        (" webp-224-q55\n", Encoding("webp", 224, 55)),
    ],
)
def test_parse(name, encoding):
    assert Encoding.parse(name) == encoding


@pytest.mark.parametrize(
    "name",
    [
        "",
        "jpeg",
        "png-q15",
        "jpeg-q0",
        "jpeg-q05",
        "jpeg-0224-q15",
        "jpeg-q1٥",  # digits, but not those of ASCII
        "jpeg-q101",
        "jpeg-0-q15",
        "jpeg-q15-224",
        "JPEG-Q15",
        "jpeg-q1.5",
        "jpeg-q-5",
        "jpeg-q15\njpeg-q25",
        "jpeg-q" + "9" * 5000,
    ],
)
def test_a_bad_name_is_refused_in_one_line(name):
    with pytest.raises(ValueError) as caught:
        Encoding.parse(name)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_parsed_or_refused_in_one_line(name):
    try:
        assert isinstance(Encoding.parse(name), Encoding)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("gif", None, 5), "format"), (("jpeg", 0, 5), "short side"), (("jpeg", None, 0), "quality")],
)
def test_an_impossible_encoding_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        Encoding(*arguments)


def test_the_ten_levels_and_the_reference():
    names = [level.name for level in TEN_LEVELS]
    assert names == [f"jpeg-q{q}" for q in (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)]
    assert REFERENCE.name == "jpeg-q75"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_json(name):
    config = preset(name)
    assert config.preset == name
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_json_names_the_encodings():
    fields = Config(encodings=(Encoding("webp", 224, 55),)).to_json()
    assert fields["encodings"] == ["webp-224-q55"]
    assert fields["hidden"] == [64, 32, 32]


@given(st.lists(encodings, min_size=1, max_size=20, unique=True), st.floats(0, 1))
def test_any_encodings_come_back_from_json(actions, gamma):
    config = Config(encodings=tuple(actions), gamma=gamma)
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_what_json_leaves_out_is_the_default():
    assert Config.from_json({"gamma": 0.0}) == Config(gamma=0.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"gama": 0.5},
        {"encodings": []},
        {"encodings": ["jpeg-q5", "jpeg-q5"]},
        {"encodings": ["jpeg-q5", "tiff-q5"]},
        {"encodings": [5]},
        {"encodings": 5},
        {"encodings": "jpeg-q5"},
        {"target": "stroed"},
        {"retrain_rule": "never"},
        {"flush": None},
        {"pooling": "max"},
        {"gamma": "0.95"},
        {"gamma": None},
        {"gamma": True},
        {"gamma": float("nan")},
        {"omega": float("-inf")},
        {"return_accuracy": "0.8"},
        {"explore_anew": 1},
        {"own_drift": 1},
        {"glance": 1},
        {"size_sample": 0},
        {"size_sample": 1.5},
        {"learn_in_estimates": None},
        {"state": "vector"},
        {"anchor": "0.3"},
        {"shift_limit": float("inf")},
        {"surprise_slack": True},
        {"surprise_limit": None},
        {"shift_limit": 5.0},  # without surprise, p_est would never come down again
        {"retrain_rule": "surprise"},  # of what? P is there with drift alone
        {"suspect_for": 0},
        {"suspect_for": 1.5},
        {"preset": 5},
        {"window": 0},
        {"window": -10},
        {"window": 10.0},
        {"window": True},
        {"hidden": "64"},
        {"hidden": 64},
        {"hidden": [64, 0]},
        {"hidden": [64, "32"]},
        {"hidden": [[64]]},
    ],
    ids=str,
)
def test_a_field_that_does_not_exist_or_fit_is_refused_in_one_line(fields):
    with pytest.raises(ValueError) as caught:
        Config.from_json(fields)
    assert "\n" not in str(caught.value)
    assert next(iter(fields)).rstrip("s") in str(caught.value)  # it names the field


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config)])
def test_every_field_is_checked_however_it_is_set(name):
    for make in (Config, Config().replace):
        with pytest.raises(ValueError, match=f"'{name}'") as caught:
            make(**{name: object()})
        assert "\n" not in str(caught.value)


def test_encodings_are_no_names_in_a_config():
    with pytest.raises(ValueError, match="'encodings'"):
        Config(encodings=("jpeg-q5",))  # type: ignore[arg-type]


def test_whole_numbers_will_do_for_others_and_none_where_it_may_be():
    config = Config(gamma=0, return_accuracy=1, return_epsilon=None, hidden=())
    assert (config.gamma, config.return_accuracy, config.return_epsilon) == (0, 1, None)


def test_replace_changes_one_field_alone():
    assert Config().replace(gamma=0.0) == Config(gamma=0.0)
    with pytest.raises(ValueError):
        Config().replace(encodings=())


def test_a_config_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().gamma = 0.0  # type: ignore[misc]


def test_an_unknown_preset_is_refused_in_one_line():
    with pytest.raises(
        ValueError, match="must be one of tuned, ladder, fast, paper, authors"
    ) as caught:
        preset("author")
    assert "\n" not in str(caught.value)


def test_the_constants_that_both_share():
    for name in ("paper", "authors"):
        config = preset(name)
        assert config.encodings == TEN_LEVELS
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
    paper, authors = preset("paper"), preset("authors")
    different = {
        field.name: (getattr(paper, field.name), getattr(authors, field.name))
        for field in dataclasses.fields(Config)
        if getattr(paper, field.name) != getattr(authors, field.name)
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
        "return_accuracy": (None, 0.8),
        "return_epsilon": (1.0, 0.2),
        "flush": ("exit", "entry"),
        "explore_anew": (True, False),
    }


def test_the_default_preset_is_there():
    assert DEFAULT_PRESET in PRESETS


def test_ladder_is_tuned_with_more_encodings_and_their_own_drift():
    tuned = preset("tuned")
    ladder = tuned.replace(preset="ladder", encodings=LADDER, own_drift=True)
    assert preset("ladder") == ladder.replace(replay_capacity=8000, training_steps=8000)
    assert tuned.encodings == TEN_LEVELS
    assert not tuned.own_drift


def test_fast_is_tuned_with_fewer_levels_looks_and_bytes_weighed():
    tuned, fast = preset("tuned"), preset("fast")
    assert [encoding.name for encoding in fast.encodings] == [
        *("jpeg-q5", "jpeg-q15", "jpeg-q25", "jpeg-q35", "jpeg-q75")
    ]
    assert fast == tuned.replace(
        preset="fast", encodings=fast.encodings, glance=False, size_sample=3
    )
    assert (tuned.glance, tuned.size_sample) == (True, 1)


def test_presets_of_drift_have_rewards_without_successor_and_agreement_for_accuracy():
    for name in ("tuned", "ladder", "fast"):
        config = preset(name)
        assert (config.state, config.gamma, config.reference_labels) == ("drift", 0, 1)
        assert (config.alpha, config.beta) == (1, 0)


def test_the_published_presets_have_nothing_of_the_new_ones():
    for name in ("paper", "authors"):
        config = preset(name)
        assert (config.state, config.own_drift, config.anchor) == ("features", False, 0)
        assert (config.shift_limit, config.learn_in_estimates) == (0, False)
        assert config.retrain_rule != "surprise"


def test_the_rungs_of_the_ladder():
    names = [encoding.name for encoding in LADDER]
    assert len(set(names)) == len(names)
    for form in ("jpeg", "webp"):
        sides = {encoding.short_side for encoding in LADDER if encoding.format == form}
        assert sides == {160, 192, 224, 288, None}


@pytest.mark.parametrize("change", [{"gamma": 0.95}, {"alpha": 0.0}, {"alpha": -1.0}], ids=str)
def test_drift_needs_gamma_0_and_alpha_above_0(change):
    with pytest.raises(ValueError, match="drift needs gamma 0 and alpha above 0"):
        preset("tuned").replace(**change)
    assert preset("paper").replace(**change)
