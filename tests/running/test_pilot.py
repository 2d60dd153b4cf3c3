"""AdaCompress, the one object that an integrator holds."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import adacompress_ref as ac
from adacompress_ref import agents
from adacompress_ref.agents import AgentError
from adacompress_ref.core.config import Config
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.imaging.extractor import Extractor
from adacompress_ref.services import ServiceError
from adacompress_ref.storage.arrays import load_arrays, save_arrays
from adacompress_ref.storage.artifacts import ArtifactError
from adacompress_ref.storage.files import ImageError
from adacompress_ref.storage.snapshot import pack


class FakeService:
    """Says cat to everything; refuses while `broken`."""

    name = "fake"

    def __init__(self):
        self.sent, self.broken = [], False

    def label(self, payload):
        if self.broken:
            raise ServiceError("no answer")
        self.sent.append(payload)
        return [ac.Label("cat", 0.9)]


@pytest.fixture(scope="module")
def extractor():
    return Extractor(threads=1)


@pytest.fixture(scope="module")
def pilot():
    return ac.AdaCompress.load(threads=1)


def new_agent(config, extractor):
    """An agent that says that it was trained with this extractor."""
    agent = agents.new_agent(config, np.random.default_rng(0))
    agent.stamp = {"extractor": agents.view_of(config).stamp(extractor.sha256)}
    return agent


def taking(action, extractor, **changes):
    """A new system whose agent takes one action for every image."""
    config = Config(hidden=(4,), **changes)
    agent = new_agent(config, extractor)
    agent.network.parameters[:] = 0
    agent.network.parameters[-len(config.encodings) + action] = 1  # a bias of the last layer
    return ac.AdaCompress(agent, extractor)


def tiny_jpeg(quality=5):
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[::2] = 90
    return codec.encode(Image.fromarray(pixels), Encoding("jpeg", None, quality))


# Choosing --------------------------------------------------------------------------------------


def test_any_kind_of_source_gives_the_same_choice(pilot, photos):
    path = photos / "clock.jpg"
    data = path.read_bytes()
    sources = [path, str(path), data, io.BytesIO(data), images.read(path)]
    choices = [pilot.choose(source) for source in sources]
    for choice in choices:
        assert choice.payload == choices[0].payload
        assert choice.encoding == choices[0].encoding
    choice = choices[0]
    assert choice.q_values.shape == (5,)
    chosen = pilot.view.encodings[int(np.argmax(choice.q_values))]
    assert (choice.encoding, choice.quality) == (chosen.name, chosen.quality)
    picture = images.read(path).picture
    assert choice.payload == codec.encode(picture, chosen, own_tables=True)
    assert choice.reference_bytes == len(codec.encode(picture, REFERENCE))
    assert choice.size_ratio == len(choice.payload) / choice.reference_bytes


def test_the_shipped_agents_of_all_presets_choose(photos, extractor):
    for name in agents.presets():
        pilot = ac.AdaCompress.load(name, threads=1)
        choice = pilot.choose(photos / "coffee.jpg")
        assert choice.q_values.shape == (len(pilot.config.encodings),)
        whole = images.read(photos / "coffee.jpg").picture.size
        size = codec.decode(choice.payload).size
        short_side = Encoding.parse(choice.encoding).short_side
        assert size == whole if short_side is None else min(size) == short_side


@pytest.fixture
def encoded(monkeypatch):
    """The list of encodings that everything encoded from now on is added to."""
    made, encode = [], codec.encode

    def note(picture, encoding, exif=None, own_tables=False):
        made.append(encoding.name)
        return encode(picture, encoding, exif, own_tables)

    monkeypatch.setattr(codec, "encode", note)
    return made


@pytest.mark.parametrize("name", ["paper", "authors"])
def test_quality_75_is_encoded_only_to_compare_with(photos, name, encoded):
    pilot = ac.AdaCompress.untrained(ac.preset(name), threads=1)
    choice = pilot.choose(photos / "clock.jpg")
    assert sorted(encoded) == sorted({choice.encoding, "jpeg-q75"})
    assert choice.size_ratio == len(choice.payload) / choice.reference_bytes
    encoded.clear()
    alone = pilot.choose(photos / "clock.jpg", reference=False)
    assert encoded == [choice.encoding]
    assert (alone.payload, alone.reference_bytes, alone.size_ratio) == (choice.payload, None, None)


def test_a_preset_that_estimates_does_not_encode_it_whole(photos, encoded):
    pilot = untaught("tuned")
    whole = images.read(photos / "clock.jpg")
    choice = pilot.choose(whole)
    assert choice.reference_bytes == len(codec.encode(whole.picture, REFERENCE))
    alone = pilot.choose(whole, reference=False)
    assert (alone.encoding, alone.payload) == (choice.encoding, choice.payload)
    assert (alone.reference_bytes, alone.size_ratio) == (None, None)
    np.testing.assert_array_equal(alone.q_values, choice.q_values)


def test_the_file_itself_where_it_is_smaller(extractor):
    file = tiny_jpeg()
    choice = taking(9, extractor).choose(file)
    assert (choice.encoding, choice.quality, choice.payload) == ("original", None, file)
    assert taking(0, extractor).choose(tiny_jpeg(95)).encoding == "jpeg-q5"


def noise(height=60, width=90):
    """A PNG that compresses badly at any quality."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def untaught(name, **changes):
    """A new system of a preset of drift, that does not explore."""
    pilot = ac.AdaCompress.untrained(ac.preset(name).replace(**changes), threads=1)
    pilot.agent.epsilon = 0.0
    return pilot


@pytest.mark.parametrize("name", ["tuned", "ladder"])
def test_an_untrained_system_of_drift_takes_what_is_known_to_survive(photos, name):
    pilot = untaught(name)
    choice = pilot.choose(photos / "chelsea.jpg")  # P is one half for all but quality 75
    assert choice.q_values.shape == (len(pilot.config.encodings),)
    usable = np.isfinite(choice.q_values)
    assert usable.all() == (name != "ladder")
    alpha = pilot.agent.alpha  # sizes are estimates
    assert choice.q_values.max() == pytest.approx(alpha - choice.size_ratio, abs=0.01)
    assert choice.encoding == "jpeg-q75"
    pilot.agent.alpha = 0.1  # then the fewest bytes
    choice = pilot.choose(photos / "chelsea.jpg")
    assert choice.q_values.max() == pytest.approx(0.05 - choice.size_ratio, abs=0.01)
    assert choice.encoding == {"ladder": "jpeg-160-q20"}.get(name, "jpeg-q5")


def test_the_reference_in_the_place_of_a_level_is_called_by_its_own_name_and_quality():
    pilot = untaught("tuned", encodings=("jpeg-q95",))
    choice = pilot.choose(noise())
    assert (choice.encoding, choice.quality, choice.size_ratio) == ("jpeg-q75", 75, 1)
    result = pilot.upload(noise(), FakeService())
    assert (result.encoding, result.quality) == ("jpeg-q75", 75)


def test_a_small_png_that_the_service_takes_is_sent_on_the_ladder():
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(stream, "PNG")
    service = FakeService()
    service.formats = ("jpeg", "png")
    result = untaught("ladder").upload(stream.getvalue(), service)
    assert (result.encoding, service.sent[0]) == ("original", stream.getvalue())


@pytest.mark.parametrize("name", ["tuned", "ladder"])
def test_a_system_of_drift_runs_from_nothing(photos, name):
    pilot = untaught(name, training_steps=8)
    results = [pilot.upload(photos / "clock.jpg", FakeService()) for _ in range(4)]
    assert [result.state for result in results[:3]] == ["retrain"] * 3  # a quarter
    assert results[3].state == "inference"
    assert all(result.step.compressed.size <= result.reference_bytes for result in results)


@pytest.mark.parametrize("workers", [1, 3])
def test_of_many_images_each_has_its_choice_or_its_error_in_order(pilot, photos, workers):
    names = ["clock.jpg", "missing.jpg", "coffee.jpg", "grass.jpg"]
    paths = [photos / name for name in names]
    first, error, *others = pilot.choose_many(iter(paths), workers=workers, reference=False)
    assert isinstance(error, ImageError) and "missing.jpg" in str(error)
    for path, choice in zip([paths[0], *paths[2:]], [first, *others], strict=True):
        alone = pilot.choose(path)
        assert (choice.payload, choice.encoding) == (alone.payload, alone.encoding)
        assert choice.reference_bytes is None  # `reference` has come through
    with pytest.raises(ValueError, match="workers=0: must be at least 1"):
        pilot.choose_many(paths, workers=0)


def test_alpha_and_agreement_are_for_presets_of_drift(tmp_path, extractor):
    tuned = untaught("tuned").agent
    ac.save(tuned, tmp_path / "tuned.npz")
    assert ac.AdaCompress.load(agent=tmp_path / "tuned.npz", alpha=4.0).agent.alpha == 4
    pilot = ac.AdaCompress.load(agent=tmp_path / "tuned.npz", agreement=0.9, confidence=0.8)
    assert (pilot.agent.alpha, pilot.agent.goal, pilot.agent.confidence) == (tuned.alpha, 0.9, 0.8)
    pilot = ac.AdaCompress.load(agent=tmp_path / "tuned.npz")
    assert (pilot.agent.goal, pilot.agent.confidence) == (pilot.config.agreement, None)
    ac.save(taking(1, extractor).agent, tmp_path / "paper.npz")
    for options in ({"alpha": 2.0}, {"agreement": 0.9}, {"confidence": 0.9}):
        with pytest.raises(ValueError, match="alone; alpha, agreement and confidence are for pres"):
            ac.AdaCompress.load(agent=tmp_path / "paper.npz", **options)


@pytest.mark.parametrize(
    "options",
    [
        *({"alpha": 0.0}, {"alpha": -1.0}, {"agreement": 0.0}, {"agreement": 1.5}),
        *({"confidence": 0.4}, {"confidence": 1.0}, {"confidence": 0.9, "alpha": 2.0}),
    ],
    ids=str,
)
def test_an_alpha_or_agreement_that_means_nothing_is_refused(tmp_path, options):
    ac.save(untaught("tuned").agent, tmp_path / "tuned.npz")
    with pytest.raises(ValueError, match=next(iter(options))):
        ac.AdaCompress.load(agent=tmp_path / "tuned.npz", **options)


def test_a_png_is_never_sent_as_it_is_unless_the_service_takes_it(extractor):
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(stream, "PNG")
    assert taking(9, extractor).choose(stream.getvalue()).encoding == "jpeg-q95"
    service = FakeService()
    service.formats = ("jpeg", "png")
    assert taking(9, extractor).choose(stream.getvalue(), service).payload == stream.getvalue()


def test_exif_is_copied_only_when_asked(extractor):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(stream, "JPEG", exif=exif, quality=95)
    chooses = taking(1, extractor).choose
    for keep, makers in ((False, None), (True, "Maker")):
        payload = chooses(stream.getvalue(), keep_exif=keep).payload
        assert Image.open(io.BytesIO(payload)).getexif().get(0x010F) == makers


def test_choosing_changes_nothing(pilot, photos):
    before = pilot.agent.rng.bit_generator.state, pilot.controller.state
    pilot.choose(photos / "clock.jpg")
    assert (pilot.agent.rng.bit_generator.state, pilot.controller.state) == before


def test_a_choice_is_short_in_print_and_compared_by_identity(pilot, photos):
    choice = pilot.choose(photos / "clock.jpg")
    assert "payload" not in repr(choice)
    assert len(repr(choice)) < 500
    assert choice == choice
    assert choice != pilot.choose(photos / "clock.jpg")


def test_a_pixel_limit(pilot, photos):
    with pytest.raises(ImageError, match="too many pixels"):
        pilot.choose(photos / "clock.jpg", pixel_limit=99)


# Uploading -------------------------------------------------------------------------------------


def test_inference_sends_one_payload(extractor, photos):
    pilot, service = taking(1, extractor), FakeService()
    result = pilot.upload(photos / "clock.jpg", service)
    (payload,) = service.sent
    assert payload == pilot.choose(photos / "clock.jpg").payload
    assert (result.state, result.encoding, result.quality) == ("inference", "jpeg-q15", 15)
    assert result.bytes_sent == len(payload)
    assert result.labels == [("cat", 0.9)]
    assert result.original_bytes == (photos / "clock.jpg").stat().st_size
    assert result.step.agreement is None


@pytest.mark.parametrize("state", ["estimate", "retrain"])
def test_estimate_and_retrain_send_the_reference_too(extractor, photos, state):
    pilot, service = taking(1, extractor), FakeService()
    pilot.controller.state = state
    result = pilot.upload(photos / "clock.jpg", service)
    assert [len(payload) for payload in service.sent] == [
        result.step.compressed.size,
        result.reference_bytes,
    ]
    assert (result.state, result.bytes_sent) == (state, sum(map(len, service.sent)))
    assert result.step.agreement == 1


def test_an_original_is_uploaded_as_it_is(extractor):
    service = FakeService()
    result = taking(9, extractor).upload(tiny_jpeg(), service)
    assert (result.encoding, result.quality) == ("original", None)
    assert service.sent == [tiny_jpeg()]


def test_an_untrained_system_begins_in_retrain(photos):
    pilot = ac.AdaCompress.untrained(Config(training_steps=2), threads=1)
    states = [pilot.upload(photos / "clock.jpg", FakeService()).state for _ in range(3)]
    assert states == ["retrain", "retrain", "inference"]


def test_a_result_can_be_kept_in_a_set(extractor, photos):
    pilot = taking(1, extractor)
    result = pilot.upload(photos / "clock.jpg", FakeService())
    assert result in {result}
    assert result != pilot.upload(photos / "clock.jpg", FakeService())


def frozen(pilot):
    """All of a running system as bytes."""
    fields, arrays = pack(pilot.controller)
    return repr(fields), {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("state", ["inference", "estimate", "retrain"])
def test_a_failing_service_leaves_everything_as_it_was(extractor, photos, state):
    pilot, service = taking(1, extractor), FakeService()
    pilot.upload(photos / "clock.jpg", service)
    pilot.controller.state = state
    pilot.upload(photos / "clock.jpg", service)
    pilot.controller.state = state
    before = frozen(pilot)
    service.broken = True
    with pytest.raises(ServiceError, match="no answer"):
        pilot.upload(photos / "clock.jpg", service)
    assert frozen(pilot) == before


class Answers:
    """A service without a name that gives one answer to everything."""

    def __init__(self, answer):
        self.answer = answer

    def label(self, payload):
        return self.answer


@pytest.mark.parametrize("state", ["inference", "estimate", "retrain"])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "cat",
        0.9,
        ac.Label("cat", 0.9),
        ["cat"],
        [("cat", 0.9)],
        [{"name": "cat", "score": 0.9}],
        [ac.Label("cat", 0.9), None],
        [ac.Label("cat", float("nan"))],
        [ac.Label("cat", 90)],
        [ac.Label("cat", -0.1)],
        [ac.Label("cat", "0.9")],
        [ac.Label(7, 0.9)],
    ],
    ids=repr,
)
def test_an_answer_that_is_not_labels_is_found_at_once(extractor, photos, state, answer):
    pilot = taking(1, extractor)
    pilot.controller.state = state
    before = frozen(pilot)
    with pytest.raises(ServiceError, match=r"service Answers: .* a list of Label\(name, score\)"):
        pilot.upload(photos / "clock.jpg", Answers(answer))
    assert frozen(pilot) == before


def test_the_service_is_called_by_its_name(extractor, photos):
    service = Answers(None)
    service.name = "own"
    with pytest.raises(ServiceError, match=r"service own: label\(\) returned None; "):
        taking(1, extractor).upload(photos / "clock.jpg", service)


def test_anything_with_a_name_and_a_score_is_a_label(extractor, photos):
    answers = (SimpleNamespace(name="cat", score=np.float32(0.5)), ac.Label("dog", 1.0000001))
    result = taking(1, extractor).upload(photos / "clock.jpg", Answers(answers))
    assert result.labels == [ac.Label("cat", 0.5), ac.Label("dog", 1.0)]
    assert len(taking(1, extractor).upload(photos / "clock.jpg", Answers([])).labels) == 0


def test_an_image_that_cannot_be_encoded_leaves_everything_as_it_was(extractor):
    stream = io.BytesIO()
    Image.new("L", (70_000, 10)).save(stream, "PNG")  # too long for the reference, not for q50
    pilot = taking(0, extractor, encodings=("jpeg-5-q50",))
    before, service = frozen(pilot), FakeService()
    with pytest.raises(ImageError, match="longest side"):
        pilot.upload(stream.getvalue(), service)
    assert frozen(pilot) == before
    assert service.sent == []


# Threads ---------------------------------------------------------------------------------------


class Crowded(FakeService):
    """Counts how many payloads are being answered at once."""

    def __init__(self):
        super().__init__()
        self.here, self.most = 0, 0

    def label(self, payload):
        self.here += 1
        self.most = max(self.most, self.here)
        time.sleep(0.005)
        self.here -= 1
        return super().label(payload)


def test_threads_may_share_a_system(extractor, photos):
    """As its docstring says: uploads take turns, choices do not wait and are as they were alone."""
    names = sorted(photos.glob("*.jpg"))[:4]
    pilot, service = taking(1, extractor), Crowded()
    alone = [pilot.choose(name).payload for name in names]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda name: pilot.upload(name, service), names * 4))
        chosen = list(pool.map(lambda name: pilot.choose(name).payload, names * 4))
    assert chosen == alone * 4
    estimates = sum(result.state == "estimate" for result in results)  # these send both
    assert service.most == 1
    assert len(service.sent) == len(results) + estimates
    steps = [result.step for result in results]
    assert all(result.labels[0].name == "cat" for result in results)
    assert len({id(step) for step in steps}) == len(names) * 4


def test_a_choice_does_not_wait_for_an_upload(extractor, photos):
    name, pilot = photos / "clock.jpg", taking(1, extractor)
    asked, answered = threading.Event(), threading.Event()

    class Slow(FakeService):
        def label(self, payload):
            asked.set()
            assert answered.wait(10)
            return super().label(payload)

    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(pilot.upload, name, Slow())
        assert asked.wait(10)
        assert pilot.choose(name).payload  # while the upload waits for its answer
        answered.set()
        assert upload.result().labels


# What does not fit -----------------------------------------------------------------------------


def test_an_agent_of_another_extractor_is_refused(extractor, tmp_path):
    agent = new_agent(Config(), extractor)
    agent.stamp["extractor"]["sha256"] = "other"
    ac.save(agent, tmp_path / "agent.npz")
    with pytest.raises(AgentError, match="another extractor"):
        ac.AdaCompress.load(agent=tmp_path / "agent.npz")


def test_a_kept_system_of_another_extractor_is_refused(extractor):
    pilot, other = taking(1, extractor), taking(1, extractor)
    other.agent.stamp["extractor"]["resize"] = "nearest"
    with pytest.raises(AgentError, match="trained on other states"):
        pilot.resume(other.controller)
    assert pilot.controller is not other.controller


def test_an_agent_file_of_before_is_refused_with_a_way_on(tmp_path, extractor):
    path = tmp_path / "agent.npz"
    ac.save(new_agent(Config(), extractor), path)
    fields, arrays = load_arrays(path)
    save_arrays(path, fields | {"format": 1}, arrays)
    with pytest.raises(AgentError, match=r"agent\.npz: .*format 1; train it again") as caught:
        ac.AdaCompress.load(agent=path)
    assert "\n" not in str(caught.value)


def test_names_that_are_not_there():
    with pytest.raises(ValueError, match="must be one of"):
        ac.AdaCompress.load("nonsense")
    with pytest.raises(ArtifactError, match="no such file"):
        ac.AdaCompress.load(agent="nothing.npz")


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread(threads):
    for make in (
        ac.AdaCompress.load,
        lambda **options: ac.AdaCompress.untrained(Config(), **options),
    ):
        with pytest.raises(ValueError, match=f"threads={threads}: must be at least 1") as error:
            make(threads=threads)
        assert type(error.value) is ValueError
        assert "\n" not in str(error.value)
