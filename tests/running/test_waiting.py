"""The queue on disk, and a pilot whose service goes away and comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adacompress_ref as ac
from adacompress_ref.running.waiting import Queue
from adacompress_ref.services import QuotaError, RefusedError, UnavailableError

NAMES = ["a.jpg", "../b/c.jpg", "dir/ö\n\ud800.jpg", "x" * 5000, ""]


def test_first_in_first_out(tmp_path):
    queue = Queue(tmp_path / "new" / "queue")
    assert (len(queue), list(queue), bool(queue)) == (0, [], False)
    for number, name in enumerate(NAMES):
        queue.put(name, b"%d\n" % number)
    for _ in range(2):
        found = [(waiting.name, waiting.file) for waiting in Queue(queue.path)]
        assert found == [(name, b"%d\n" % number) for number, name in enumerate(NAMES)]
    first, second, *_ = queue
    queue.remove(second)
    queue.remove(first)
    queue.put("last", b"")
    assert [waiting.name for waiting in queue] == [*NAMES[2:], "last"]
    assert {path.parent for path in (tmp_path / "new").rglob("*.*")} == {queue.path}


def test_numbers_go_on(tmp_path):
    queue = Queue(tmp_path)
    for number in range(12):
        queue.put(str(number), b"")
        if number % 3 == 0:
            queue.remove(next(iter(queue)))
    assert [waiting.name for waiting in queue] == [str(number) for number in range(4, 12)]


def test_other_files_are_left_alone(tmp_path):
    for name in (".0c.tmp", "readme", "1-x"):
        (tmp_path / name).write_bytes(b"mine")
    assert list(Queue(tmp_path)) == []


@given(st.text(), st.binary())
def test_any_name_and_content(tmp_path_factory, name, content):
    queue = Queue(tmp_path_factory.mktemp("queue"))
    queue.put(name, content)
    (waiting,) = queue
    assert (waiting.name, waiting.file) == (name, content)


class Moody:
    """A service that is away while `error` is set."""

    name = "moody"

    def __init__(self):
        self.error, self.answered = None, 0

    def label(self, payload):
        if self.error:
            raise self.error
        self.answered += 1
        return [ac.Label("cat", 0.5)]


@pytest.fixture
def pilot(tmp_path):
    return ac.AdaCompress.load("authors", queue=tmp_path / "queue", threads=1)


def test_images_wait_for_a_service_that_is_away(pilot, photos):
    service, names = Moody(), ["clock.jpg", "brick.jpg", "grass.jpg", "gravel.jpg"]
    first = pilot.upload(photos / names[0], service)
    assert (first.pending, len(first.labels), first.fault) == (False, 1, None)

    service.error = UnavailableError("moody: away")
    waits = pilot.upload(photos / names[1], service, name="camera-1")
    assert (waits.pending, waits.labels, waits.bytes_sent, waits.step) == (True, (), 0, None)
    assert waits.fault == "moody: away"
    with pytest.raises(UnavailableError):
        next(pilot.send_waiting(service))

    service.error = None
    waits = pilot.upload(photos / names[2], service)  # behind the other one
    assert (waits.pending, waits.fault) == (True, "others wait before it")
    results = list(pilot.send_waiting(service))
    assert [name for name, _ in results] == ["camera-1", str(photos / names[2])]
    assert [result.pending for _, result in results] == [False, False]
    assert len(pilot.queue) == 0
    assert not pilot.upload(photos / names[3], service).pending


def test_what_was_not_taken_is_sent_again(pilot, photos):
    service = Moody()
    for name in ("clock.jpg", "brick.jpg"):
        pilot.queue.put(name, (photos / name).read_bytes())
    sending = pilot.send_waiting(service)
    assert next(sending)[0] == "clock.jpg"
    del sending  # as if the process had ended
    assert [name for name, _ in pilot.send_waiting(service)] == ["clock.jpg", "brick.jpg"]


def test_a_fault_in_between_changes_no_order(pilot, photos):
    service, names = Moody(), ["clock.jpg", "brick.jpg", "grass.jpg"]
    for name in names:
        pilot.queue.put(name, (photos / name).read_bytes())
    service.error = UnavailableError("moody: away")
    sending = pilot.send_waiting(service)
    with pytest.raises(UnavailableError):
        next(sending)
    service.error = None
    assert [name for name, _ in pilot.send_waiting(service)] == names


def test_one_that_never_has_an_answer_holds_up_no_others(pilot, photos):
    poison = (photos / "brick.jpg").read_bytes()
    size = len(pilot.choose(poison).payload)

    class Poisoned(Moody):
        def label(self, payload):
            if len(payload) in (size, reference):
                raise UnavailableError("moody: HTTP status 500")
            return super().label(payload)

    reference = pilot.choose(poison).reference_bytes
    service, names = Poisoned(), ["brick.jpg", "clock.jpg", "grass.jpg"]
    for name in names:
        pilot.queue.put(name, (photos / name).read_bytes())
    with pytest.raises(UnavailableError):
        next(pilot.send_waiting(service))
    for _ in range(2):
        with pytest.raises(UnavailableError, match="500"):
            list(pilot.send_waiting(service))
        assert (len(pilot.queue), service.answered) == (1, 2)  # the poison is not lost
    assert pilot.upload(photos / "gravel.jpg", service).pending
    with pytest.raises(UnavailableError):
        list(pilot.send_waiting(service))
    assert (len(pilot.queue), service.answered) == (1, 3)


def test_what_can_never_be_sent_leaves_the_queue_with_its_reason(pilot, photos):
    service = Moody()
    pilot.queue.put("damaged.jpg", b"no image")
    pilot.queue.put("clock.jpg", (photos / "clock.jpg").read_bytes())
    service.error = RefusedError("moody: too dark")
    results = dict(pilot.send_waiting(service))
    assert "damaged.jpg: cannot be read" in str(results["damaged.jpg"])
    assert str(results["clock.jpg"]) == "moody: too dark"
    assert len(pilot.queue) == 0


def test_an_image_that_is_refused_does_not_wait(pilot, photos):
    service = Moody()
    service.error = RefusedError("moody: too dark")
    with pytest.raises(RefusedError):
        pilot.upload(photos / "clock.jpg", service)
    assert len(pilot.queue) == 0


@pytest.mark.parametrize("error", [QuotaError("x"), UnavailableError("x")])
def test_without_a_queue_the_error_is_raised(photos, error):
    service = Moody()
    service.error = error
    pilot = ac.AdaCompress.load("authors", threads=1)
    with pytest.raises(type(error)):
        pilot.upload(photos / "clock.jpg", service)
    assert list(pilot.send_waiting(service)) == []
