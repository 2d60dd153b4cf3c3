"""Any ONNX classifier as a service: its sidecar, its arithmetic, its errors."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.imaging.session import ModelError
from adacompress_ref.imaging.sidecar import Normalisation
from adacompress_ref.services import ServiceError, formats, open_service
from adacompress_ref.services import onnx as onnx_service
from adacompress_ref.services.onnx import OnnxClassifier, Sidecar, _centre_square
from adacompress_ref.storage.artifacts import ArtifactError

FIELDS = {"input_size": 2, "labels": ["red", "green", "blue"]}
PIXELS = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [100, 110, 120]]], np.uint8)
PICTURE = Image.fromarray(PIXELS)


@pytest.fixture
def sidecar(tmp_path):
    """A function that writes fields to a sidecar and reads it."""

    def read(**fields):
        path = tmp_path / "model.onnx.json"
        path.write_text(json.dumps({**FIELDS, **fields}), "utf-8")
        return Sidecar.read(path)

    return read


@pytest.fixture
def classifier(tmp_path):
    """A function that writes a model whose scores are the means of its three channels."""
    onnx = pytest.importorskip("onnx", reason="the extra `dev` installs onnx")

    def write(sidecar_name="model.onnx.json", **fields):
        nhwc = fields.get("layout") == "NHWC"
        shape = [1, 2, 2, 3] if nhwc else [1, 3, 2, 2]
        make = onnx.helper.make_tensor_value_info
        node = onnx.helper.make_node(
            "ReduceMean", ["in"], ["out"], axes=[1, 2] if nhwc else [2, 3], keepdims=0
        )
        graph = onnx.helper.make_graph(
            [node],
            "means",
            [make("in", onnx.TensorProto.FLOAT, shape)],
            [make("out", onnx.TensorProto.FLOAT, [1, 3])],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
        )
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        (tmp_path / sidecar_name).write_text(json.dumps({**FIELDS, **fields}), "utf-8")
        return OnnxClassifier(tmp_path / "model.onnx", threads=1)

    return write


def grey(value):
    """A payload that decodes to one grey value everywhere."""
    return codec.encode(Image.new("RGB", (8, 8), (value,) * 3), Encoding("jpeg", None, 95))


# The sidecar -----------------------------------------------------------------------------------


def test_defaults(sidecar):
    read = sidecar()
    assert (read.input_size, read.labels) == (2, ["red", "green", "blue"])
    assert read.crop is None
    assert read.normalisation == Normalisation((0, 0, 0), (1, 1, 1), 1, "RGB", "NCHW")
    assert read.output.lower() == "probabilities"


def test_every_field(sidecar):
    read = sidecar(
        crop=0.875,
        mean=[1, 2, 3],
        std=[4, 5, 6],
        scale=0.5,
        channels="bgr",
        layout="nhwc",
        output="LOGITS",
    )
    assert read == Sidecar(
        normalisation=Normalisation((1, 2, 3), (4, 5, 6), 0.5, "BGR", "NHWC"),
        input_size=2,
        labels=["red", "green", "blue"],
        crop=0.875,
        output="LOGITS",
    )


@pytest.mark.parametrize(
    ("mean", "std", "scale"),
    [
        (0, 1, 1),
        (0.5, 0.5, 1 / 255),  # plainly in units of 0 to 1
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 1 / 255),
        (127.5, 127.5, 1),
        ([103.9, 116.8, 123.7], 1, 1),
        (0.5, 1, 1),
    ],
)
def test_the_scale_follows_from_mean_and_std(sidecar, mean, std, scale):
    assert sidecar(mean=mean, std=std).normalisation.scale == scale


def test_labels_in_a_file(sidecar, tmp_path):
    (tmp_path / "names.txt").write_text("katze\nhund\nkäfer\n", "utf-8")
    assert sidecar(labels="names.txt").labels == ["katze", "hund", "käfer"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_size", None),
        ("input_size", "big"),
        ("input_size", 0),
        ("input_size", 5000),
        ("labels", None),
        ("labels", 7),
        ("labels", "nothing.txt"),
        ("crop", 0),
        ("crop", 1.5),
        ("crop", "half"),
        ("mean", [1, 2]),
        ("mean", "dark"),
        ("mean", None),
        ("std", [1, 1, 0]),
        ("scale", 0),
        ("std", ["a", 1, 1]),
        ("scale", "large"),
        ("scale", None),
        ("channels", "RGBA"),
        ("layout", "CHWN"),
        ("output", "classes"),
        ("min_score", 1.1),
        ("min_score", "low"),
    ],
)
def test_a_wrong_field_is_named(sidecar, field, value):
    with pytest.raises(ModelError) as caught:
        sidecar(**{field: value})
    assert "model.onnx.json: " in str(caught.value)
    assert field in str(caught.value).split("model.onnx.json: ")[1]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["input_size", "labels"])
def test_a_missing_field_is_named(tmp_path, field):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({key: FIELDS[key] for key in FIELDS if key != field}))
    with pytest.raises(ModelError, match=rf"model\.json: field '{field}' is missing"):
        Sidecar.read(path)


@pytest.mark.parametrize(
    ("text", "match"), [("{", "not readable JSON"), ("[1]", "expected a JSON object")]
)
def test_a_sidecar_that_is_no_object(tmp_path, text, match):
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=match):
        Sidecar.read(path)


@pytest.mark.parametrize("name", ["model.onnx.json", "model.json"])
def test_both_names_of_a_sidecar(classifier, name):
    assert classifier(name).sidecar.input_size == 2


def test_no_sidecar(classifier, tmp_path):
    classifier()
    (tmp_path / "model.onnx.json").unlink()
    with pytest.raises(ModelError, match=r"model\.json: missing"):
        open_service(f"onnx:{tmp_path / 'model.onnx'}")


# The arithmetic --------------------------------------------------------------------------------


def test_mean_std_and_scale_by_hand(classifier):
    tensor = classifier(mean=[1, 2, 3], std=[2, 4, 8], scale=0.1).tensor(PICTURE)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 2, 2), np.float32)
    np.testing.assert_allclose(
        tensor[0],
        [
            [[0, 1.5], [3, 4.5]],  # (10 * 0.1 - 1) / 2, (40 * 0.1 - 1) / 2, ...
            [[0, 0.75], [1.5, 2.25]],
            [[0, 0.375], [0.75, 1.125]],
        ],
        rtol=1e-6,
        atol=1e-6,
    )


def test_means_go_with_the_order_of_channels(classifier):
    tensor = classifier(channels="BGR", mean=[30, 20, 10]).tensor(PICTURE)
    np.testing.assert_allclose(tensor[0], [[[0, 30], [60, 90]]] * 3, atol=1e-5)


def test_layout_nhwc(classifier):
    tensor = classifier(layout="NHWC").tensor(PICTURE)
    assert tensor.shape == (1, 2, 2, 3)
    np.testing.assert_array_equal(tensor[0], PIXELS)


def test_without_crop_the_whole_image_is_squeezed(classifier):
    pixels = np.repeat(np.array([[[0] * 3], [[200] * 3]], np.uint8), 40, axis=0)  # 80 high, 1 wide
    tensor = classifier().tensor(Image.fromarray(pixels))[0]
    assert tensor.shape == (3, 2, 2)
    assert tensor[0, 0, 0] < 30
    assert tensor[0, 1, 0] > 170


@pytest.mark.parametrize("wide", [False, True])
def test_crop_cuts_the_centre_square(classifier, wide):
    pixels = np.zeros((2, 6, 3), np.uint8)
    pixels[:, 2] = 100  # what lies in the centre square
    pixels[:, 3] = 200
    if not wide:
        pixels = pixels.transpose(1, 0, 2)
    tensor = classifier(crop=1).tensor(Image.fromarray(pixels))[0, 0]
    np.testing.assert_array_equal(tensor, [[100, 200]] * 2 if wide else [[100, 100], [200, 200]])


@pytest.mark.parametrize("wide", [False, True])
def test_a_thin_image_costs_no_more_than_its_centre(wide, monkeypatch):
    pixels = np.zeros((1, 3000, 3), np.uint8)
    pixels[:, 1499:1501] = 255  # what lies in the centre square: half of either
    if not wide:
        pixels = pixels.transpose(1, 0, 2)
    made = []

    def noting(method):
        def note(*arguments, **options):
            made.append(method(*arguments, **options))
            return made[-1]

        return note

    for name in ("resize", "reduce", "crop"):
        monkeypatch.setattr(Image.Image, name, noting(getattr(Image.Image, name)))
    square = _centre_square(Image.fromarray(pixels), 224, 256)
    assert square.size == (224, 224)
    assert np.array(square).min() > 200
    assert all(each.width * each.height <= 224 * 224 for each in made)  # the whole: 768,000 x 256
    assert square in made


def test_the_centre_of_a_thin_image_is_that_of_the_whole(monkeypatch):
    rows, columns = np.mgrid[0:20, 0:300]
    waves = 128 + 60 * np.sin(columns / 5) + 60 * np.cos(rows / 4)  # [20, 300]
    for pixels in (waves, waves.T, waves[:, 1:], waves[:3]):
        picture = Image.fromarray(np.repeat(pixels[..., None], 3, axis=2).astype(np.uint8))
        thin = _centre_square(picture, 50, 57)
        with monkeypatch.context() as patch:
            patch.setattr(onnx_service, "LONGEST", 10**6)
            whole = _centre_square(picture, 50, 57)
        np.testing.assert_allclose(np.array(thin).astype(int), whole, atol=1)


def test_crop_half_keeps_the_middle(classifier):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[1:3, 1:3] = 90
    picture = Image.fromarray(pixels)
    np.testing.assert_array_equal(classifier(crop=0.5).tensor(picture)[0, 0], [[90, 90]] * 2)


def test_probabilities_are_taken_as_they_are(classifier):
    service = classifier(mean=[0, 128, 64], std=256)
    labels = service.label(grey(128))
    assert [label.name for label in labels] == ["red", "blue", "green"]
    np.testing.assert_allclose([label.score for label in labels], [0.5, 0.25, 0], atol=1e-6)
    assert service.name.startswith("onnx:")


def test_labels_below_the_least_score_are_not_answered(classifier):
    service = classifier(mean=[0, 128, 64], std=256, min_score=0.25)  # scores .5, .25 and 0
    assert [label.name for label in service.label(grey(128))] == ["red", "blue"]
    assert classifier(mean=[0, 128, 64], std=256, min_score=0.6).label(grey(128)) == []


def test_logits_go_through_softmax(classifier):
    # scores 0, ln 2 and ln 5: their exponentials are 1, 2 and 5 of 8
    means = [128, 128 - np.log(2), 128 - np.log(5)]
    labels = classifier(mean=means, output="logits").label(grey(128))
    assert [label.name for label in labels] == ["blue", "green", "red"]
    np.testing.assert_allclose([label.score for label in labels], [5 / 8, 2 / 8, 1 / 8], rtol=1e-4)


def test_large_logits_do_not_overflow(classifier):
    labels = classifier(mean=[0, 0, -1000], output="logits").label(grey(128))
    assert labels[0] == ("blue", 1.0)


def test_ties_keep_the_order_of_the_classes(classifier):
    assert [label.name for label in classifier().label(grey(7))] == ["red", "green", "blue"]


# What does not fit -----------------------------------------------------------------------------


def test_another_number_of_classes(classifier):
    with pytest.raises(ModelError, match="3 classes, its sidecar 2 labels"):
        classifier(labels=["a", "b"]).label(grey(1))


def test_another_shape_of_input(classifier):
    with pytest.raises(ModelError, match="does not take its input") as caught:
        classifier(input_size=3).label(grey(1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("failure", [MemoryError(), RuntimeError(""), RuntimeError("\n")])
def test_an_error_without_words(classifier, monkeypatch, failure):
    def fail(*_):
        raise failure

    service = classifier()
    monkeypatch.setattr(service, "session", SimpleNamespace(run=fail))
    match = rf"the model does not take its input \({type(failure).__name__}\)"
    with pytest.raises(ModelError, match=match):
        service.label(grey(1))


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    (tmp_path / "model.json").write_text(json.dumps(FIELDS))
    with pytest.raises(ModelError, match=r"model\.onnx: not a usable ONNX model"):
        OnnxClassifier(tmp_path / "model.onnx")


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match=r"x\.onnx: there is no such file"):
        open_service(f"onnx:{tmp_path / 'x.onnx'}")


@pytest.mark.parametrize("name", ["", "squeeze", "onnx", "recorded"])
def test_an_unknown_service(name):
    with pytest.raises(ServiceError, match="there are: squeezenet, onnx:FILE"):
        open_service(name)


def test_a_service_takes_jpeg_unless_it_says_otherwise(classifier):
    assert formats(object()) == ("jpeg",)
    assert formats(None) == ("jpeg",)
    assert formats(classifier()) == ("jpeg", "webp")


# The bundled service ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def squeezenet():
    return open_service("squeezenet", 1)


@pytest.mark.parametrize(
    ("photo", "names"),
    [
        ("coffee.jpg", {"espresso", "cup", "coffee mug"}),
        ("chelsea.jpg", {"tabby", "Egyptian cat", "tiger cat", "lynx"}),
        ("rocket.jpg", {"missile", "projectile", "space shuttle"}),
        ("camera.jpg", {"tripod"}),
    ],
)
def test_squeezenet_knows_what_is_there(squeezenet, photos, photo, names):
    picture = images.read(photos / photo).picture
    labels = squeezenet.label(codec.encode(picture, REFERENCE))
    assert len(labels) == 5
    assert names & {label.name for label in labels}
    scores = [label.score for label in labels]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= sum(scores) <= 1 + 1e-5


def test_squeezenet_takes_webp(squeezenet, photos):
    payload = codec.encode(images.read(photos / "coffee.jpg").picture, Encoding("webp", None, 80))
    assert squeezenet.label(payload)[0].name == "espresso"


def test_a_payload_that_is_no_image(squeezenet):
    with pytest.raises(images.ImageError, match="not a whole JPEG, WebP or PNG"):
        squeezenet.label(b"\xff\xd8\xff")
