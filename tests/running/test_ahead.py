"""Work in order, a few ahead: its order, its errors, and where it ends."""

import threading
import time
from concurrent.futures import Future

import pytest

from adacompress_ref.running.ahead import in_order


def slower(number, most=6):
    """The first take longest, so that the last are done first."""
    time.sleep(0.01 * max(0, most - number))
    return number


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(in_order(slower, iter(range(8)), workers)) == list(range(8))
    assert list(in_order(slower, [], workers)) == []


def test_with_one_worker_nothing_is_ahead():
    here, begun = threading.current_thread(), []

    def work(item):
        begun.append(item)
        return threading.current_thread()

    results = in_order(work, range(9), 1)
    assert next(results) is here
    assert begun == [0]


def test_only_a_few_are_ahead():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(slower, items(), 3)
    assert next(results) == 0
    assert len(taken) <= 3 + 1
    results.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_comes_in_its_place(workers):
    def work(item):
        if item == 4:
            raise KeyError(item)
        return slower(item)

    results = in_order(work, range(50), workers)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="4"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_left_early_nothing_more_is_begun(workers):
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.05)
        return item

    results = in_order(work, range(1000), workers)
    assert next(results) == 0
    results.close()
    after = len(begun)
    assert after <= 2 * workers + 1
    time.sleep(0.15)
    assert len(begun) == after


def test_interrupted_what_waits_is_never_begun(monkeypatch):
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.1)

    def interrupt(self, timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(in_order(work, range(1000), 3))
    assert sorted(begun) == [0, 1, 2]  # the fourth was waiting for one of them
