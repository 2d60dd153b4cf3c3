"""Work in threads: its order, its errors, and where it ends."""

import threading
import time
from functools import partial

import pytest

from adacompress_ref.imaging import parallel
from adacompress_ref.imaging.parallel import at_once


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


def test_where_no_thread_begins_the_caller_does_the_work(monkeypatch):
    class Ended:
        def submit(self, _):
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(parallel, "_pool", lambda _: Ended())
    assert at_once([lambda: 1, lambda: 2, lambda: 3], 2) == [1, 2, 3]
