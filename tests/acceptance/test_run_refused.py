"""Exit 4: the provider refuses for good. Nobody hammers on, and the key stays secret.

How every kind of refusal is told and obeyed is tested without a whole run, in tests/integration/test_refused_for_good.py.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import psycopg
import pytest
from psycopg import sql

from fix_run import ONE_OF_EACH, StartRun, helix
from helix_ray.environment.ray_sessions import ray_folder
from support.canaries import files_in, memory_of, occurrences, shown_by

KEY = "gsk_" + "refusedforgood" * 3
PASSWORD, TOKEN = "canary-of-the-database", "canary-of-the-controls"
CANARIES = [text.encode() for text in (KEY, PASSWORD, TOKEN)]
NONE = [0] * len(CANARIES)
ERROR = {"message": f"Invalid API Key {KEY}, go away", "type": "invalid_request_error", "code": "invalid_api_key"}


class RefusingApi(ThreadingHTTPServer):
    """Answers every request with 401, and keeps the keys of those for completions. Before the first answer ``looked`` is called."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: list[str] = []
        self.looked: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RefusingApi

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.keys.append(self.headers["authorization"])
        if len(self.server.keys) == 1:
            self.server.looked()
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


def rows_of(url: str) -> Iterator[bytes]:
    """Every row of every table of ours, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("select table_name from information_schema.tables where table_schema = 'helix'").fetchall()
        for (table,) in tables:
            query = sql.SQL("select each::text from helix.{} as each").format(sql.Identifier(table))
            yield from (text.encode() for (text,) in connection.execute(query))


def test_a_refusal_for_good_ends_the_run_after_the_first_answer(api: RefusingApi, database_url: str, start_run: StartRun) -> None:
    seen: dict[str, list[int]] = {}

    def look() -> None:
        """Everywhere but in the processes that need a secret; the kernel shows what a driver began with, for ever."""
        tree = psutil.Process(run.process.pid).children(recursive=True)
        [control_service], [raylet] = ([each for each in tree if each.name() == name] for name in ("gcs_server", "raylet"))
        status = helix(run.home, "status", "--json").stdout
        seen["command lines, environments"] = occurrences(CANARIES, shown_by(tree))
        seen["command line"] = occurrences(CANARIES, [" ".join(psutil.Process(run.process.pid).cmdline()).encode()])
        seen["control service"] = occurrences(CANARIES, memory_of(control_service))
        seen["raylet"] = occurrences(CANARIES, memory_of(raylet))
        seen["session folder, logs"] = occurrences(CANARIES, files_in(ray_folder(run.home), run.home))
        seen["page"] = occurrences(CANARIES, [status.encode()])
        assert json.loads(status)["run"]["simulated"] is False

    api.looked = look
    run = start_run(
        *ONE_OF_EACH,
        "source.count=500",
        "analyzer.backend=groq",
        f"analyzer.base_url={api.url}",
        "sink.database=external",
        "ray.dashboard=false",
        env={"GROQ_API_KEY": KEY, "DATABASE_URL": database_url.replace("@", f":{PASSWORD}@", 1), "HELIX_CONTROL_TOKEN": TOKEN},
    )
    code, report = run.finish()
    assert code == 4, run.output
    assert report["status"] == "refused"
    assert "401" in report["reason"]
    assert "Invalid API Key [key removed], go away" in report["reason"]
    assert set(api.keys) == {f"Bearer {KEY}"}
    assert len(api.keys) <= 2, "while nothing is known of the limits one request at a time is let through"
    assert (report["reads_stored"], report["dead_letters"], report["lost"]) == (0, 0, 0)
    assert report["cost_usd"] == 0
    assert report["simulated"] is False
    assert report["resume_command"]
    assert report["resume_command"] in run.output
    assert seen == dict.fromkeys(seen, NONE)
    assert len(seen) == 6
    after = {"database": rows_of(database_url), "files": files_in(ray_folder(run.home), run.home), "output": [run.output.encode()]}
    assert {place: occurrences(CANARIES, texts) for place, texts in after.items()} == dict.fromkeys(after, NONE)
