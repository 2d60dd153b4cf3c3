"""`adacompress train --images`: what it learns from, and in which order."""

from adacompress_ref.cli.train import _passes


def test_a_log_in_another_order_than_the_passes_holds_up_nothing():
    def line(name, error=None):
        return {"image": name, "error": error, "accuracy": 1.0}

    lines = [line("b"), line("a", "damaged"), line("a", "damaged"), line("c"), line("b")]
    order = _passes(["a", "b", "c", "new"], 0, lines)
    names = []
    for _ in range(40):
        names.append(next(order))
        lines.append(line(names[-1]))
    assert set(names) == {"b", "c", "new"}  # never again what could not be used
    assert abs(names.count("new") - names.count("b")) <= 3 and names[0] == "new"
