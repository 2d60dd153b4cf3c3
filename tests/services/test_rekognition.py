"""The client of Amazon Rekognition: its answers, and where it finds credentials."""

import base64
import itertools
import json
import os
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from service_helpers import as_json, raw_server, serving

from adacompress_ref.core.roles import Label
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    RefusedError,
    UnavailableError,
    open_service,
)
from adacompress_ref.services.rekognition import (
    Rekognition,
    build_request,
    find_credentials,
    find_region,
    parse_response,
)
from adacompress_ref.services.signature import Credentials, sign

ANSWER = {
    "Labels": [
        {"Name": "Vehicle", "Confidence": 89.75, "Instances": [], "Parents": []},
        {
            "Name": "Car",
            "Confidence": 98.5,
            "Instances": [{"BoundingBox": {"Width": 0.1, "Left": 0.2}, "Confidence": 98.5}],
            "Parents": [{"Name": "Vehicle"}],
            "Aliases": [{"Name": "Automobile"}],
            "Categories": [{"Name": "Vehicles and Automotive"}],
        },
        {"Name": "Road", "Confidence": 100.00000762939453},
    ],
    "LabelModelVersion": "3.0",
}
BEST = [Label("Road", 1.0), Label("Car", 0.985), Label("Vehicle", 0.8975)]


def parsed(value, status=200, **headers):
    return parse_response(status, headers, json.dumps(value).encode())


def test_request():
    credentials = Credentials("AKIDEXAMPLE", "secret", "token")
    when = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    sent = {"Image": {"Bytes": base64.b64encode(b"\xff\xd8i").decode()}, "MaxLabels": 10}
    request = build_request("https://aws.example", "eu-west-1", credentials, sent, when).prepare()
    assert (request.method, request.url) == ("POST", "https://aws.example/")
    fields = json.loads(request.body)
    assert base64.b64decode(fields.pop("Image")["Bytes"]) == b"\xff\xd8i"
    assert fields == {"MaxLabels": 10}
    authorization = request.headers["Authorization"]
    assert "Credential=AKIDEXAMPLE/20260203/eu-west-1/rekognition/aws4_request," in authorization
    assert "=content-type;host;x-amz-date;x-amz-security-token;x-amz-target," in authorization
    assert request.headers["X-Amz-Target"] == "RekognitionService.DetectLabels"
    assert request.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert request.headers["X-Amz-Security-Token"] == "token"


def test_label_asks_for_ten_labels_of_any_score(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with serving(lambda request: as_json(ANSWER)) as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", url)
        assert Rekognition().label(b"image") == BEST
    fields = json.loads(requests[0].body)
    assert fields == {"Image": {"Bytes": "aW1hZ2U="}, "MaxLabels": 10, "MinConfidence": 0}


def test_labels_best_first():
    assert parsed(ANSWER) == BEST


@pytest.mark.parametrize("where", ["body", "namespace", "header"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ThrottlingException", UnavailableError),
        ("ProvisionedThroughputExceededException", UnavailableError),
        ("LimitExceededException", UnavailableError),
        ("InternalServerError", UnavailableError),
        ("ServiceUnavailable", UnavailableError),
        ("AccessDeniedException", AuthenticationError),
        ("UnrecognizedClientException", AuthenticationError),
        ("InvalidSignatureException", AuthenticationError),
        ("SignatureDoesNotMatch", AuthenticationError),
        ("MissingAuthenticationTokenException", AuthenticationError),
        ("IncompleteSignatureException", AuthenticationError),
        ("ExpiredTokenException", AuthenticationError),
        ("InvalidClientTokenId", AuthenticationError),
        ("RequestExpired", AuthenticationError),
        ("ImageTooLargeException", RefusedError),
        ("InvalidImageFormatException", RefusedError),
        ("InvalidParameterException", RefusedError),
        ("ValidationException", RefusedError),
        ("UnknownOperationException", ProtocolError),
        ("InvalidS3ObjectException", ProtocolError),
    ],
)
def test_errors(code, kind, where):
    body, headers = {"message": "what went wrong"}, {}
    if where == "header":
        headers["x-amzn-errortype"] = f"{code}:http://internal.amazon.com/coral/"
    else:
        body["__type"] = code if where == "body" else f"com.amazonaws.rekognition#{code}"
    with pytest.raises(kind, match=f"{code}: what went wrong") as error:
        parsed(body, 400, **headers)
    assert type(error.value) is kind
    assert str(error.value).startswith("rekognition: ")
    assert error.value.retryable == (kind is UnavailableError)


def test_a_code_of_another_shape():
    with pytest.raises(ProtocolError):
        parsed({"__type": ["ThrottlingException"], "message": {}}, 400)


@pytest.mark.parametrize("code", ["InvalidSignatureException", "RequestExpired"])
def test_a_wrong_clock_is_named(code):
    with pytest.raises(AuthenticationError, match="clock"):
        parsed({"__type": code, "Message": "Signature expired"}, 400)


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """A function that sets variables and files of AWS; there are no others."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def have(credentials=None, config=None, **variables):
        for name, text in (("credentials", credentials), ("config", config)):
            if text is not None:
                (tmp_path / name).write_text(text, "utf-8")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return have


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "secret-of-environment"}
FILE = """
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = s%(ecret)s/+%default
[other]
aws_access_key_id=AKIDOTHER
aws_secret_access_key=secret-of-other
aws_session_token=token-of-other==
[unfinished]
region = eu-west-3
"""
CONFIG = """
[default]
region = eu-north-1
aws_access_key_id = AKIDCONFIG
aws_secret_access_key = secret-of-config
s3 =
    max_concurrent_requests = 2
[profile other]
region = ap-south-1
[profile unfinished]
aws_access_key_id = AKIDUNFINISHED
aws_secret_access_key = secret-of-unfinished
[other]
region = us-west-9
"""


@pytest.mark.parametrize("token", [None, "token-of-environment"])
@pytest.mark.parametrize("region", [None, "us-east-2"])
@pytest.mark.parametrize("profile", [None, "default", "other", "unfinished"])
def test_credentials_and_region_as_botocore(aws, token, region, profile):
    session = pytest.importorskip("botocore.session", reason="botocore is the judge")
    from botocore.exceptions import BotoCoreError

    variables = {"AWS_SESSION_TOKEN": token, "AWS_DEFAULT_REGION": region, "AWS_PROFILE": profile}
    compared = 0
    for keys, file, config in itertools.product(({}, KEYS), (None, FILE), (None, CONFIG)):
        names = {name: value for name, value in variables.items() if value}
        for path in (os.environ["AWS_SHARED_CREDENTIALS_FILE"], os.environ["AWS_CONFIG_FILE"]):
            if os.path.exists(path):
                os.remove(path)
        for name in KEYS:
            os.environ.pop(name, None)
        aws(file, config, **keys, **names)
        judge = session.Session()
        try:
            theirs = judge.get_credentials()
            their_region = judge.get_config_variable("region")
        except BotoCoreError:  # the profile is nowhere: it refuses even what it does not need
            continue
        compared += 1
        if theirs is None:
            with pytest.raises(AuthenticationError, match="AWS_SECRET_ACCESS_KEY"):
                find_credentials()
        else:
            found = find_credentials()
            assert (found.key, found.secret) == (theirs.access_key, theirs.secret_key)
            assert found.token == (theirs.token or "")
        if their_region is None:
            with pytest.raises(AuthenticationError, match="AWS_REGION"):
                find_region()
        else:
            assert find_region() == their_region
    assert compared >= 4


def test_region_of_other_programs(aws):
    aws(AWS_REGION="eu-central-1", AWS_DEFAULT_REGION="us-east-1")
    assert find_region() == "eu-central-1"


def test_files_in_the_home_folder(aws, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(FILE)
    assert find_credentials().key == "AKIDDEFAULT"


@pytest.mark.parametrize("without", KEYS)
def test_half_of_the_keys(aws, without):
    aws(**{**KEYS, without: ""})
    with pytest.raises(AuthenticationError, match="set AWS_ACCESS_KEY_ID"):
        find_credentials()


@pytest.mark.parametrize(
    "text", [b"[default]\naws_secret_access_key secret-of-file", b"key = 1", b"[default]\n\xff\xfe"]
)
def test_damaged_file(aws, text):
    with open(os.environ["AWS_SHARED_CREDENTIALS_FILE"], "wb") as file:
        file.write(text)
    with pytest.raises(AuthenticationError, match="damaged") as error:
        find_credentials()
    assert "secret-of-file" not in str(error.value)
    aws(**KEYS)
    assert find_credentials().key == "AKIDENVIRONMENT"  # needs no file


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, "https://rekognition.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "https://a.example"}, "https://a.example"),
        (
            {
                "AWS_ENDPOINT_URL": "https://a.example",
                "AWS_ENDPOINT_URL_REKOGNITION": "https://b.example",
            },
            "https://b.example",
        ),
    ],
)
def test_endpoint(aws, variables, endpoint):
    aws(**KEYS, AWS_REGION="eu-west-1", **variables)
    assert Rekognition().endpoint == endpoint


def test_no_region(aws):
    aws(**KEYS)
    with pytest.raises(AuthenticationError, match="set AWS_REGION"):
        Rekognition()


def expired(request):
    if "AKIDNEW" in request.headers["Authorization"]:
        return as_json(ANSWER)
    said = f"The security token is expired: {request.headers['X-Amz-Security-Token']}"
    return as_json({"__type": "ExpiredTokenException", "message": said}, 400)


PROFILE = "[default]\naws_access_key_id={}\naws_secret_access_key=secret\naws_session_token={}\n"


def test_credentials_that_another_program_renewed(aws):
    aws(PROFILE.format("AKIDOLD", "token-old"), AWS_REGION="us-east-1")
    with serving(expired) as (url, requests):
        aws(AWS_ENDPOINT_URL=url)
        service = Rekognition(tries=3)
        aws(PROFILE.format("AKIDNEW", "token-new"))
        assert service.label(b"image") == BEST
        assert service.label(b"image") == BEST
    assert len(requests) == 3
    assert service.transport.secrets >= {"token-old", "token-new", "secret"}


@pytest.mark.parametrize(("renewed", "tries"), [("AKIDOLD", 1), ("AKIDOLDTOO", 2)])
def test_credentials_stay_expired(aws, renewed, tries):
    aws(PROFILE.format("AKIDOLD", "token-old"), AWS_REGION="us-east-1")
    with serving(expired) as (url, requests):
        aws(AWS_ENDPOINT_URL=url)
        service = Rekognition(tries=3)
        aws(PROFILE.format(renewed, "token-old"))
        with pytest.raises(AuthenticationError, match="renew the session token") as error:
            service.label(b"image")
    assert len(requests) == tries
    assert "token-old" not in str(error.value)


@pytest.mark.parametrize("path", ["", "/", "/prefix"])
def test_what_arrives_is_what_was_signed(aws, path):
    aws(**KEYS, AWS_SESSION_TOKEN="token", AWS_REGION="eu-west-1")
    with serving(lambda request: as_json(ANSWER)) as (url, requests):
        aws(AWS_ENDPOINT_URL=url + path)
        assert Rekognition(tries=1).label(b"image") == BEST
    (arrived,) = requests
    url = f"http://{arrived.headers['Host']}{arrived.path}"
    headers = {name: arrived.headers[name] for name in ("Content-Type", "X-Amz-Target")}
    credentials = Credentials(*KEYS.values(), "token")
    when = datetime.strptime(arrived.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    anew = sign(url, headers, arrived.body, credentials, "eu-west-1", "rekognition", when)
    assert arrived.headers["Authorization"] == anew["Authorization"]


@pytest.fixture(scope="module")
def moto():
    """The address of moto's server, which speaks as AWS does."""
    pytest.importorskip("moto", reason="moto stands for AWS")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("token", ["", "token-of-environment"])
def test_service(aws, moto, token):
    aws(**KEYS, AWS_SESSION_TOKEN=token, AWS_REGION="eu-west-1", AWS_ENDPOINT_URL=moto)
    labels = open_service("rekognition", tries=1).label(b"image")
    assert labels[0].name == "Mobile Phone"
    assert labels[0].score > 0.99


@pytest.mark.parametrize(("ahead", "requests_made"), [(3000, 2), (-3000, 2), (0, 2)])
def test_a_signature_refused_for_the_clock_is_made_again_with_the_servers_time(
    aws, ahead, requests_made
):
    there = timedelta(seconds=ahead)
    moments = []

    def answer(handler):
        now = datetime.now(timezone.utc) + there
        signed = handler.asked.headers["X-Amz-Date"]
        moments.append(datetime.strptime(signed + "+0000", "%Y%m%dT%H%M%SZ%z"))
        late = abs((now - moments[-1]).total_seconds()) > 300 or len(moments) == 1
        value = {"__type": "InvalidSignatureException", "message": "Signature expired: x"}
        body = json.dumps(value if late else ANSWER).encode()
        handler.send_response_only(400 if late else 200)
        handler.send_header("Date", format_datetime(now, usegmt=True))
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with raw_server(answer) as (url, requests):
        aws(**KEYS, AWS_REGION="us-east-1", AWS_ENDPOINT_URL=url)
        service = Rekognition()
        assert service.label(b"image") == BEST
        assert len(requests) == requests_made
        assert service.label(b"image") == BEST
        assert len(requests) == requests_made + 1  # it knows now


@pytest.mark.parametrize("section", ["default", "profile default"])
def test_the_default_profile_of_the_settings_has_two_names(aws, section, tmp_path):
    (tmp_path / "settings").write_text(f"[{section}]\nregion=eu-west-3\n")
    aws(**KEYS, AWS_CONFIG_FILE=str(tmp_path / "settings"))
    assert Rekognition().region == "eu-west-3"
