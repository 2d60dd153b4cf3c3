"""The table of the README: by hand on a made-up table, and put where it belongs."""

import numpy as np
import pytest

from adacompress_ref import agents
from adacompress_ref.agents import view_of
from bench import headline, streams


@pytest.fixture
def made(make_table, tmp_path):
    """A table of twelve images, one of which loses its label at quality 5; an agent."""
    streams.world.cache_clear()
    agent = agents.new_agent(agents.preset("tuned"), np.random.default_rng(0))
    names = [
        ["dog" if (image, level) == (0, 0) else "cat" for level in range(6)] for image in range(12)
    ]
    labels = [[(name,) for name in row] for row in names]
    table = make_table(labels, [[20, 40, 60, 80, 90, 100]] * 12, agent.config.encodings)
    table.save(tmp_path / "made.npz")
    agent.stamp = {"extractor": view_of(agent.config).stamp("sha of E"), "trained_on": []}
    agents.save(agent, tmp_path / "agent.npz")
    return tmp_path / "made.npz", tmp_path / "agent.npz"


def test_the_rows_of_a_table(made):
    rows = headline.measured(*made, count=2)
    assert rows["always quality 75"] == (1, 1)
    assert rows["quality 75 as `jpegoptim` makes it"] == (1, pytest.approx(0.9))
    # 11/12 - .2 is more than 1 - .4
    assert rows["best fixed level, chosen in hindsight"] == pytest.approx((11 / 12, 0.2))
    for agreement, size in rows.values():
        assert 0 < agreement <= 1 and 0 < size < 2


def test_it_is_put_between_its_marks(made, monkeypatch, tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{headline.START}old\n{headline.END}\nafter\n")
    monkeypatch.setattr(headline, "README", page)
    table, agent = map(str, made)
    arguments = ["--table", table, "--agent", agent, "--streams", "2", "--write"]
    assert headline.main(arguments) == 0
    printed = capsys.readouterr().out
    assert page.read_text() == f"before\n{headline.START}{printed}{headline.END}\nafter\n"
    assert {line.count("|") for line in printed.splitlines()} == {4}


def test_a_table_that_is_not_there(capsys, tmp_path):
    assert headline.main(["--table", str(tmp_path / "no.npz")]) == 2
    assert capsys.readouterr().err.startswith("bench.headline: ")
