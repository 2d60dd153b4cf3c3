"""Answers that differ: how often, and that streams without any are those of the table."""

import numpy as np
import pytest

from adacompress_ref.core.roles import Label, Upload
from bench.noise import Noisy


class Image:
    """Each upload is answered alike."""

    state = np.zeros(3)

    def upload(self, action, reference):
        told = Upload(10, [Label("cat", 0.9), Label("dog", 0.1)])
        return told, told if reference else None


@pytest.mark.parametrize("agrees", [1.0, 0.9, 0.5])
def test_two_answers_agree_as_often_as_was_asked(agrees):
    image = Noisy(Image(), 1 - agrees**0.5, np.random.default_rng(0))
    pairs = [image.upload(0, True) for _ in range(4000)]
    alike = np.mean([own.labels[0] == other.labels[0] for own, other in pairs])
    assert alike == pytest.approx(agrees, abs=0.025)  # three standard errors
    assert all(own.labels[1].name == "dog" and own.size == 10 for own, _ in pairs)


def test_where_no_reference_is_sent_none_is_heard():
    assert Noisy(Image(), 0.5, np.random.default_rng(0)).upload(0, False)[1] is None
