"""Encodings: what an action's name means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.config import PAPER
from adacompress_ref.imaging.encoding import REFERENCE, TEN_LEVELS, Encoding, parse_all

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
    assert parse_all(PAPER.encodings) == TEN_LEVELS
