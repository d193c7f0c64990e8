"""Exit 4: the provider refuses for good. Nobody hammers on, and the key stays secret.

How every kind of refusal is told and obeyed is tested without a whole run, in tests/integration/test_refused_for_good.py.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fix_run import ONE_OF_EACH, StartRun

KEY = "gsk_" + "refusedforgood" * 3
ERROR = {"message": "Invalid API Key", "type": "invalid_request_error", "code": "invalid_api_key"}


class RefusingApi(ThreadingHTTPServer):
    """Answers every request with 401, and keeps the keys of those for completions."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RefusingApi

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.keys.append(self.headers["authorization"])
        body = json.dumps({"error": ERROR}).encode()
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at ``keys``."""


@pytest.fixture
def api() -> Iterator[RefusingApi]:
    with RefusingApi() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def files_that_say(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_refusal_for_good_ends_the_run_after_the_first_answer(api: RefusingApi, start_run: StartRun) -> None:
    run = start_run(
        *ONE_OF_EACH,
        "source.count=500",
        "analyzer.backend=groq",
        f"analyzer.base_url={api.url}",
        "ray.dashboard=false",
        env={"GROQ_API_KEY": KEY},
    )
    code, report = run.finish()
    assert code == 4, run.output
    assert report["status"] == "refused"
    assert "401" in report["reason"]
    assert ERROR["message"] in report["reason"]
    assert set(api.keys) == {f"Bearer {KEY}"}
    assert len(api.keys) <= 2, "while nothing is known of the limits one request at a time is let through"
    assert (report["reads_stored"], report["dead_letters"], report["lost"]) == (0, 0, 0)
    assert report["cost_usd"] == 0
    assert report["simulated"] is False
    assert report["resume_command"]
    assert report["resume_command"] in run.output
    assert KEY not in run.output
    assert KEY not in json.dumps(report)
    assert files_that_say(KEY, run.home) == []
