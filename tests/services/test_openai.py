"""The client of chat models, against answers as servers give them and against the imitation."""

import base64
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from service_helpers import as_json, serving

from adacompress_ref.core.roles import Label
from adacompress_ref.server.standin import Server
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    ask,
    open_service,
)
from adacompress_ref.services.openai import QUESTION, OpenAI, build_request, parse_response

PAGE = Path(__file__).resolve().parents[2] / "adacompress_ref" / "services" / "README.md"


def completion(content, **others):
    message = {"role": "assistant", "content": content, "refusal": others.pop("refusal", None)}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop", **others}]}


def of(*names):
    return completion(json.dumps({"labels": names}))


def parsed(value, status=200):
    return parse_response(status, {}, json.dumps(value).encode())


def refused(message, param=None, status=400):
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return as_json({"error": error}, status)


@pytest.fixture
def scripted(monkeypatch):
    """A client without a key whose server gives the answers of `script`; the `requests` it got."""
    script = []
    with serving(lambda request: script.pop(0)) as (url, requests):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        client = OpenAI("qwen")
        client.transport._sleep = lambda seconds: None
        client.script, client.requests = script, requests
        yield client


def asked(client):
    return [json.loads(request.body) for request in client.requests]


@pytest.mark.parametrize("payload", [b"\xff\xd8jpeg", b"RIFF\x08\0\0\0WEBPVP8 "])
def test_request(payload):
    request = build_request("http://127.0.0.1:1/v1/", "key", "qwen", payload).prepare()
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:1/v1/chat/completions")
    assert request.headers["Authorization"] == "Bearer key"
    body = json.loads(request.body)
    (message,) = body.pop("messages")
    text, image = message["content"]
    assert body == {"model": "qwen", "temperature": 0, "response_format": {"type": "json_object"}}
    assert text == {"type": "text", "text": QUESTION} and "JSON" in QUESTION
    assert image["image_url"]["detail"] == "high"
    head, encoded = image["image_url"]["url"].split(",")
    assert head == f"data:image/{'webp' if b'WEBP' in payload else 'jpeg'};base64"
    assert base64.b64decode(encoded) == payload


def test_without_a_key_no_header_goes():
    request = build_request("http://127.0.0.1:1/v1", "", "qwen", b"image").prepare()
    assert "Authorization" not in request.headers


def test_names_are_folded_and_ranked():
    found = parsed(of("Tabby  Cat", "STRASSE", "tabby cat", " ", "straße", *"abcdefghij"))
    assert [label.name for label in found] == ["tabby cat", "strasse", *"abcdefgh"]
    assert [label.score for label in found] == pytest.approx(np.arange(10, 0, -1) / 10)


@pytest.mark.parametrize(
    "value",
    [
        of(),
        completion(None, refusal="I cannot help with that."),
        completion("", finish_reason="content_filter"),
    ],
)
def test_a_refusal_is_an_answer_without_labels(value):
    assert parsed(value) == []


def test_a_block_of_markdown_is_read():
    assert parsed(completion('```json\n{"labels": ["Cat"]}\n```\n')) == [Label("cat", 1)]


@pytest.mark.parametrize(
    "value",
    [
        completion("A cat on a mat."),
        completion('{"labels": ["cat", "do'),
        completion('{"labels": ["cat"]}', finish_reason="length"),
        completion('{"labels": "cat"}'),
        completion('{"labels": {"cat": 1}}'),
        completion('{"labels": [1]}'),
        completion('["cat"]'),
        completion(None),
        {"choices": []},
    ],
)
def test_what_cannot_be_read_is_asked_for_once_more(scripted, value):
    scripted.script += [as_json(value), as_json(of("cat"))]
    assert scripted.label(b"image") == [Label("cat", 1)]
    scripted.script += [as_json(value), as_json(value), as_json(of("cat"))]
    with pytest.raises(ProtocolError):
        scripted.label(b"image")
    assert len(scripted.requests) == 4


@pytest.mark.parametrize(
    ("field", "answer"),
    [
        ("temperature", refused("Unsupported value", "temperature")),
        ("temperature", refused("'temperature' does not support 0 with this model.")),
        ("response_format", refused("'response_format.type' must be 'text'")),
        ("detail", refused("unknown field", "messages[0].content[1].image_url.detail")),
        (
            "temperature",
            as_json({"object": "error", "message": "temperature: no", "code": 400}, 400),
        ),
    ],
)
def test_a_field_that_the_server_refuses_is_left_out_from_then_on(scripted, field, answer, caplog):
    scripted.script += [answer, *[as_json(of("cat"))] * 3]
    for _ in range(3):
        assert scripted.label(b"image") == [Label("cat", 1)]
    first, *others = asked(scripted)
    image = first["messages"][0]["content"][1]["image_url"]
    del (image if field == "detail" else first)[field]
    assert others == [first] * 3
    (record,) = caplog.records  # once
    assert f"take {field};" in record.getMessage()


def test_several_fields_one_after_the_other(scripted):
    names = ("temperature", "response_format", "detail")
    scripted.script += [*(refused("no", name) for name in names), as_json(of("cat"))]
    assert scripted.label(b"image") == [Label("cat", 1)]
    assert set(asked(scripted)[-1]) == {"model", "messages"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("Failed to load image or audio file"), RefusedError),
        (refused("Unknown parameter", "frequency"), ProtocolError),
        (refused("model 'x' not found", status=404), ProtocolError),
        (as_json({"error": {"message": "no x", "code": "model_not_found"}}, 404), ServiceError),
        (as_json({"error": {"message": "no x", "type": "NotFoundError"}}, 404), ServiceError),
        (as_json({"error": {"message": "quota", "code": "insufficient_quota"}}, 429), QuotaError),
        (as_json({"error": "oops"}), ProtocolError),
        (as_json({"detail": "Not Found"}, 404), ProtocolError),
    ],
)
def test_errors(answer, kind):
    status, headers, body = answer
    with pytest.raises(kind) as caught:
        parse_response(status, headers, body)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("openai: ")


def test_a_key_is_needed_for_their_own_server_alone(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        OpenAI("m")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://192.0.2.1:8000/v1")
    with pytest.raises(AuthenticationError, match="https"):
        OpenAI("m")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.com/v1")
    assert OpenAI("m").formats == ("jpeg",)
    monkeypatch.setenv("OPENAI_WEBP", "1")
    assert OpenAI("m").formats == ("jpeg", "webp")


# The imitation ---------------------------------------------------------------------------------


@pytest.fixture
def imitation(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Server(open_service("squeezenet", 1)) as server:
        for wire in server.formats:
            for variable, value in wire.environment(server.url).items():
                if variable == "OPENAI_BASE_URL":
                    monkeypatch.setenv(variable, value)
        yield server


@pytest.mark.parametrize("left_out", [(), ("response_format", "detail", "temperature")])
def test_the_client_gets_the_names_that_the_service_gives(imitation, photos, left_out):
    client = open_service("openai:any")
    for name in left_out:
        del client.fields[name]
    payload = (photos / "coffee.jpg").read_bytes()
    names = [label.name.casefold() for label in ask(imitation.service, payload)]
    assert [label.name for label in ask(client, payload)] == names[:10]
    assert names


@pytest.mark.parametrize(("quota", "kind"), [(0, QuotaError), (9, RefusedError)])
def test_the_client_knows_quota_and_refusal(imitation, quota, kind):
    imitation.quota = quota
    with pytest.raises(kind):
        open_service("openai:any").label(b"no image")


def test_the_client_gets_through_faults(imitation, photos):
    imitation.error_rate, imitation.hold = 0.3, 1.5
    client = open_service("openai:any", deadline=0.5, tries=8)
    client.transport._sleep = lambda seconds: None
    payload = (photos / "coffee.jpg").read_bytes()
    expected = client.label(payload)
    got = 0
    for _ in range(20):
        try:
            assert client.label(payload) == expected
            got += 1
        except ProtocolError:  # two in a row that cannot be read
            pass
    assert got >= 15 and imitation.faults.total() > 3


def test_the_lines_of_the_page(imitation, adacompress, photos, few, monkeypatch):
    """And the commands that make an agent: label, train, evaluate, for the same model."""
    block = next(b for b in re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
    named, *commands = block.splitlines()
    assert len(commands) == 2
    variable, _, url = named.removeprefix("export ").partition("=")
    assert (variable, url) == ("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")  # where it listens
    few.rename("photos")
    for command in commands:
        program, *arguments = shlex.split(command)
        status, _, err = adacompress(*arguments)
        assert (program, status) == ("adacompress", 0), err
    lines = [json.loads(line) for line in Path("state/log.jsonl").read_text().splitlines()]
    assert len([line for line in lines if line.get("labels")]) == 3
    assert Path("page.html").read_text("utf-8").count("<html") == 1

    service = ("--service", "openai", "--model", "qwen2.5-vl")
    arguments = ("--images", "photos", *service, "-o", "t.npz", "--workers", 2, "--json")
    status, out, err = adacompress("label", *arguments)
    assert status == 0, err
    assert json.loads(out)["service"] == "openai:qwen2.5-vl"
    status, _, err = adacompress("train", "--table", "t.npz", "-o", "agent.npz", "--steps", 20)
    assert status == 0, err
    live = ("train", "--images", "photos", *service, "-o", "live.npz", "--steps", 4)
    assert adacompress(*live)[0] == 0
    status, out, err = adacompress("evaluate", "--table", "t.npz", "--agent", "agent.npz")
    assert status == 0, err
    assert imitation.answered > 0


@pytest.mark.parametrize("options", ["--service openai", "--service google --model x"])
def test_a_model_goes_with_openai(adacompress, options):
    status, out, err = adacompress("run", "--images", ".", *options.split())
    assert (status, out) == (2, "")
    assert "--service openai and --model go together" in err
