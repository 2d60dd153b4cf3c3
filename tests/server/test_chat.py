"""The imitation of OpenAI's chat API, judged by OpenAI's own client and its models of answers."""

import base64
import io
import json

import pytest
import requests
from PIL import Image

from adacompress_ref.core.roles import Label
from adacompress_ref.server.standin import Server

LABELS = [Label("Tabby", 0.6), Label("boîte", 0.5), Label("猫", 0.1)]
STREAM = io.BytesIO()
Image.new("L", (96, 96), 128).save(STREAM, "JPEG")
ADDRESS = f"data:image/jpeg;base64,{base64.b64encode(STREAM.getvalue()).decode()}"


class Fake:
    def label(self, payload):
        assert payload == STREAM.getvalue()
        return LABELS


def messages(address=ADDRESS):
    image = {"type": "image_url", "image_url": {"url": address, "detail": "low"}}
    parts = [{"type": "text", "text": "What is it?"}, image]
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(Fake()) as server:
        for variable, value in server.formats[-1].environment(server.url).items():
            monkeypatch.setenv(variable, value)
        yield server


@pytest.fixture
def openai():
    return pytest.importorskip("openai", reason="the outside judge of this format")


@pytest.mark.parametrize("options", [{}, {"response_format": {"type": "json_object"}}])
def test_their_client_reads_the_answer(server, openai, options):
    with openai.OpenAI(max_retries=0) as client:  # from the environment, as ours
        answer = client.chat.completions.create(model="any", messages=messages(), **options)
    content = answer.choices[0].message.content
    assert content.startswith("```json\n") == (not options)
    names = json.loads(content.removeprefix("```json\n").removesuffix("\n```"))["labels"]
    assert names == [label.name for label in LABELS]
    assert (answer.model, server.answered) == ("any", 1)


def test_an_answer_is_what_their_schema_says(server, openai):
    asked = {"model": "any", "messages": messages()}
    said = requests.post(f"{server.url}/v1/chat/completions", json=asked).json()
    answer = openai.types.chat.ChatCompletion.model_validate(said, strict=True)
    assert answer.to_dict(exclude_unset=True) == said
    for part in (answer, answer.choices[0], answer.choices[0].message):
        assert not part.model_extra  # no field that the schema has not
        required = {name for name, field in type(part).model_fields.items() if field.is_required()}
        assert required <= part.model_fields_set


@pytest.mark.parametrize(
    ("changed", "kind", "code"),
    [
        ({"quota": 0}, "RateLimitError", "insufficient_quota"),
        ({"faults": ["429"], "error_rate": 1}, "RateLimitError", "rate_limit_exceeded"),
        ({"faults": ["500"], "error_rate": 1}, "InternalServerError", None),
        ({"faults": ["503"], "error_rate": 1}, "InternalServerError", None),
    ],
)
def test_their_client_knows_the_errors(server, openai, changed, kind, code):
    server._kinds = changed.pop("faults", ())
    vars(server).update(changed)
    with (
        openai.OpenAI(max_retries=0) as client,
        pytest.raises(getattr(openai, kind)) as error,
    ):
        client.chat.completions.create(model="any", messages=messages())
    assert error.value.code == code and error.value.message
    assert server.answered == 0


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"messages": messages("data:image/jpeg;base64,?")}, "invalid_image"),
        ({"messages": messages("https://example.com/a.jpg")}, None),
        ({"messages": messages("data:text/plain;base64,AAAA")}, None),
        ({"messages": [*messages(), *messages()]}, None),
        ({"messages": [{"role": "user", "content": "Hello"}]}, None),
        ({"messages": messages(), "stream": True}, None),
        ({"messages": 1}, None),
    ],
)
def test_what_it_refuses(server, asked, code):
    asked = {"model": "any", **asked}
    response = requests.post(f"{server.url}/v1/chat/completions", json=asked)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["type"]) == (code, "invalid_request_error")
    assert server.answered == 0
