"""The page in a real browser: a run is started, steered and drained there; other sites are kept out; everyone can read it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from playwright.sync_api import Browser, Error, Page, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fix_page import ROOT, SLOW, Monitor, assert_readable, beside, button, choose, free_port, says, unlock
from helix_ray.storage import embedded
from support.page_viewer import PageViewer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

SEEN_WITHIN_S = 15.0  # on a busy machine; test_page_for_minutes.py asks for less
STEERED = ("spike", "pause", "resume", "rate", "budget", "drain")


@contextmanager
def foreign_page(html: str, asked: list[str] | None = None) -> Iterator[str]:
    """Another local program's page, on a port of its own; ``asked`` is told of every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_other_sites_are_kept_out_and_the_banner_shows_when_the_page_server_hangs(page: Page, browser: Browser, monitor: Monitor) -> None:
    port = monitor.port
    for origin, host in (("http://evil.test", None), ("http://127.0.0.1:1", None), (f"http://evil.test:{port}", f"evil.test:{port}")):
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            beside(PageViewer(port, origin, host).watch(lambda _: None))
    opens = f"const s = new WebSocket('ws://127.0.0.1:{port}/_stcore/stream', ['streamlit']); s.onopen = () => document.title = 'open'; "
    opens += f"s.onclose = () => document.title = 'refused'</script><iframe src='{monitor.url}'></iframe>"
    with foreign_page(f"<!doctype html><title>x</title><script>{opens}") as elsewhere:
        other = browser.new_page()
        other.goto(elsewhere)
        expect(other).to_have_title("refused", timeout=SLOW)
        assert "Helix" not in other.frames[-1].locator("body").inner_text()
        other.goto(f"http://evil.test:{port}")
        expect(other.locator("body")).to_contain_text("not served under this host name")

    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect(page.get_by_text("No samples yet")).to_be_visible(timeout=SLOW)
    assert_readable(page)
    banner = page.locator(".hx-late")
    expect(banner).to_have_css("visibility", "hidden")
    os.killpg(monitor.process.pid, signal.SIGSTOP)
    hung_at = time.monotonic()
    expect(banner).to_have_css("visibility", "visible", timeout=SLOW)
    assert time.monotonic() - hung_at < 12  # 6 on a machine with time
    os.killpg(monitor.process.pid, signal.SIGCONT)
    expect(banner).to_have_css("visibility", "hidden", timeout=10_000)
    assert not errors


def test_hostile_texts_fetch_nothing_run_nothing_and_stay_in_their_place(browser: Browser) -> None:
    asked: list[str] = []
    port = free_port()
    with foreign_page("", asked) as beacon:
        command = [sys.executable, str(ROOT / "tests/support/scripted_page.py"), str(port), beacon]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"})
        try:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_init_script("window.ran = 0")
            page = context.new_page()
            foreign: list[str] = []
            page.on("request", lambda it: foreign.append(it.url) if f":{port}/" not in it.url and it.url[:4] == "http" else None)
            for _ in range(100):
                try:
                    page.goto(f"http://127.0.0.1:{port}")
                    break
                except Error:
                    page.wait_for_timeout(200)
            expect(page.locator(".hx-cells")).to_be_visible(timeout=SLOW)
            for place in ("", "records", "run"):
                page.goto(f"http://127.0.0.1:{port}/{place}")
                expect(page.locator(".hx-bar").first).to_be_visible(timeout=SLOW)
                if place == "records":
                    page.get_by_role("textbox").first.fill("7")
                    page.keyboard.press("Enter")
                expect(page.get_by_text(beacon).first).to_be_visible(timeout=SLOW)
                page.wait_for_timeout(4000)  # all cadences but the slowest, drawn anew
                if place == "run":
                    choose(page, "Baseline")
                    expect(page.get_by_label("Compared with another run")).to_contain_text("+1.2 [0.4, 2.0]", timeout=SLOW)
                    assert_readable(page)
                assert page.evaluate("window.ran") == 0
            assert (asked, foreign) == ([], [])
        finally:
            process.terminate()
            process.wait(10)


def test_a_run_is_started_watched_steered_and_drained(page: Page, browser: Browser, monitor: Monitor) -> None:
    outside: list[str] = []
    page.on("request", lambda it: outside.append(it.url) if "127.0.0.1" not in it.url and it.url[:4] == "http" else None)
    page.goto(f"{monitor.url}/start")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled(timeout=SLOW)
    unlock(page, monitor.code)
    assert_readable(page)
    choose(page, "Configuration", "groq_free")
    button(page, "Start…")
    expect(page.get_by_role("dialog")).to_contain_text(re.compile("requests .*|No forecast"), timeout=SLOW)
    assert_readable(page)
    page.reload()
    button(page, "Start")
    expect(page.get_by_text(re.compile("start endless: process"))).to_be_visible(timeout=SLOW)
    page.goto(monitor.url)
    says(page, "RUNNING", 2 * SLOW)
    says(page, "EMULATOR")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_enabled()

    seen: dict[str, float] = {}
    button(page, "Spike 30 s")
    seen["spike"] = says(page, "spike.*in effect")
    queue = page.get_by_label("queue, waiting reads")
    expect(queue).to_contain_text("BLOCKED", timeout=SLOW)
    expect(queue).to_contain_text("most 500", timeout=SLOW)
    beside(PageViewer(monitor.port).press("drain"))
    stranger = browser.new_context().new_page()
    stranger.goto(monitor.url)
    expect(stranger.get_by_role("button", name="Pause", exact=True)).to_be_disabled(timeout=SLOW)
    button(page, "Pause")
    seen["pause"] = says(page, "pause.*in effect")
    says(page, "PAUSED")
    assert_readable(page)
    page.reload()
    button(page, "Resume")
    seen["resume"] = says(page, "resume.*in effect")
    says(page, "RUNNING")
    for label, value, action in ((r"^Rate", "5", "rate"), (r"^Cap", "50", "budget")):
        page.get_by_role("button", name=re.compile(label)).click()
        page.locator(f".st-key-{action}_value input").fill(value)
        page.locator(f".st-key-{action}_button button").click()
        seen[action] = says(page, f"{action} {value}.*in effect")
        page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile(r"^Cap \$50")).click()
    page.locator(".st-key-budget_value input").fill("60")
    page.locator(".st-key-budget_button button").click()
    expect(page.get_by_role("dialog").filter(has_text="A higher cap")).to_contain_text(
        re.compile(r"requests .*cap +\$60.00", re.DOTALL), timeout=SLOW
    )
    page.keyboard.press("Escape")
    button(page, "Stop…")
    expect(page.get_by_role("dialog").filter(has_text="Stop now")).to_contain_text(re.compile(r"requests .*cap", re.DOTALL), timeout=SLOW)
    assert_readable(page)
    for place, words in (("records", "Dead letters"), ("run", "Control events")):
        page.goto(f"{monitor.url}/{place}")
        expect(page.get_by_text(words).first).to_be_visible(timeout=SLOW)
        assert_readable(page)
    link = page.get_by_role("link", name=re.compile("Ray"))
    expect(link).to_have_attribute("href", re.compile(r"^http://(127\.0\.0\.1|localhost):\d+"), timeout=SLOW)
    page.goto(monitor.url)
    button(page, "Drain")
    seen["drain"] = says(page, "drain.*in effect|DRAINING|LAST SEEN|STOPPED")  # of a short queue the end follows at once
    says(page, "STOPPED.*as the database has it", 2 * SLOW)
    assert not outside
    (report,) = (monitor.home / "reports").glob("*.html")
    page.goto(report.as_uri())
    assert_readable(page)
    page.goto(monitor.url)

    with psycopg.connect(embedded.embedded_url(monitor.home)) as database:
        commands = database.execute(
            "SELECT action, actor, extract(epoch FROM in_effect_at) FROM helix.control_events ORDER BY asked_at"
        ).fetchall()
        (rows,) = database.execute("SELECT count(*) FROM helix.reads").fetchone() or (0,)
    embedded.stop(monitor.home)
    assert [(action, actor) for action, actor, _ in commands] == [(action, "page") for action in STEERED], "and nothing else was pressed"
    late = {action: seen[action] - float(at) for action, _, at in commands if at is not None and seen[action] - float(at) > SEEN_WITHIN_S}
    assert not late
    expect(page.get_by_label("pulse, reads a second")).to_contain_text(f"{rows:,} reads stored")
