"""What the tests of services share: a server on this machine, and answers of every kind."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

from hypothesis import strategies as st

from adacompress_ref.core.roles import Label
from adacompress_ref.services import ServiceError

STATUSES = (200, 200, 200, 201, 301, 400, 401, 402, 403, 404, 408, 412, 413, 418, 429, 500, 503)


@contextmanager
def raw_server(answer, context=None):
    """A server's address and the requests it got; `answer(handler)` writes what it likes."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.asked = SimpleNamespace(path=self.path, headers=self.headers, body=body)
            self.asked.client = self.client_address
            requests.append(self.asked)
            answer(self)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()


def serving(answer):
    """The same; `answer(request)` is (status, headers, body)."""

    def write(handler):
        status, headers, body = answer(handler.asked)
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return raw_server(write)


def as_json(value, status=200, **headers):
    """What `answer` of `serving` returns."""
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


def answers(*names):
    """A strategy of statuses and bodies: any bytes, and any JSON that has these field names."""
    keys = st.sampled_from(names) | st.text(max_size=4)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | keys
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=15,
    )
    bodies = st.dictionaries(keys, values, max_size=4) | values
    return st.tuples(
        st.sampled_from(STATUSES),
        st.binary(max_size=40) | bodies.map(lambda value: json.dumps(value).encode()),
    )


def check_outcome(name, parse, status, body):
    """That an answer means labels, best first, or a ServiceError that begins with the name."""
    try:
        labels = parse(status, {}, body)
    except ServiceError as error:
        assert str(error).startswith(f"{name}: ")
        assert str(error).isprintable() and len(str(error)) < 500
        return
    assert 200 <= status < 300
    assert all(type(label) is Label and 0 <= label.score <= 1 for label in labels)
    assert labels == sorted(labels, key=lambda label: -label.score)
