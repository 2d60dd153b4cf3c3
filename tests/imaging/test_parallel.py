"""Work in threads: its order, its errors, and where it ends."""

import threading
import time
from concurrent.futures import Future
from functools import partial

import pytest

from adacompress_ref.imaging import parallel
from adacompress_ref.imaging.parallel import at_once, in_order


def slower(number, most=6):
    """The first take longest, so that the last are done first."""
    time.sleep(0.01 * max(0, most - number))
    return number


# All at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 4, 20])
def test_what_jobs_return_stands_in_their_order(threads):
    assert at_once([partial(slower, n) for n in range(8)], threads) == list(range(8))
    assert at_once([], threads) == []
    assert at_once([lambda: None], threads) == [None]


def test_one_thread_is_the_caller_s():
    here = threading.current_thread()
    assert at_once([threading.current_thread] * 5, 1) == [here] * 5


def test_the_caller_works_too():
    """As many at a time as threads were asked for, the caller's among them."""
    meeting = threading.Barrier(3, timeout=10)

    def meet():
        meeting.wait()
        return threading.current_thread()

    found = at_once([meet] * 3, 3)
    assert len(set(found)) == 3
    assert threading.current_thread() in found


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("place", [0, 3, 5])
def test_an_error_is_raised_when_all_work_has_ended(threads, place):
    begun = []

    def job(number):
        begun.append(number)
        if number == place:
            raise KeyError(number)
        time.sleep(0.02)

    with pytest.raises(KeyError, match=str(place)):
        at_once([partial(job, number) for number in range(20)], threads)
    after = len(begun)
    assert after == place + 1 or threads > 1
    time.sleep(0.06)
    assert len(begun) == after
    assert at_once([partial(slower, 9)] * 3, threads) == [9] * 3  # nothing is left behind


def test_where_the_caller_s_own_job_fails_the_others_begin_no_more():
    here, begun = threading.current_thread(), []

    def job():
        begun.append(threading.current_thread())
        time.sleep(0.02)
        if threading.current_thread() is here:
            raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        at_once([job] * 60, 3)
    assert here in begun
    assert len(begun) <= 9


def test_callers_do_not_wait_for_each_other_s_results():
    """Four callers share the threads; each has its own results, in its own order."""
    found = {}

    def call(name):
        found[name] = at_once([partial(slower, 10 * name + n, 10 * name + 6) for n in range(6)], 3)

    callers = [threading.Thread(target=call, args=(name,)) for name in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert found == {name: [10 * name + n for n in range(6)] for name in range(4)}


# In order --------------------------------------------------------------------------------------


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


def test_where_no_thread_begins_the_caller_does_the_work(monkeypatch):
    class Ended:
        def submit(self, _):
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(parallel, "_pool", lambda _: Ended())
    assert at_once([lambda: 1, lambda: 2, lambda: 3], 2) == [1, 2, 3]
