"""The page in a real browser: it moves, its banner needs no script, and its buttons reach the run."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
# --no-sandbox: Chromium refuses to start as root without it; the page is our own
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--mute-audio"]
SLOW = 60_000.0  # ms


@dataclass
class Monitor:
    process: subprocess.Popen[str]
    url: str
    code: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def monitor(passable_home: Path) -> Iterator[Monitor]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", "from helix_ray.cli import main; main()", "monitor", "--port", str(port)],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if name != "HELIX_CONTROL_TOKEN"}, "HELIX_HOME": str(passable_home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    code = None
    for line in process.stdout:
        found = re.search(r"Control code .*: (\S+)", line)
        code = found.group(1) if found else code
        if "URL:" in line:
            break
    assert code is not None, "helix monitor printed no control code"
    yield Monitor(process, f"http://127.0.0.1:{port}", code)
    os.killpg(process.pid, signal.SIGCONT)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def page(monitor: Monitor) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(SLOW)
        page.goto(monitor.url)
        yield page
        browser.close()


def unlock(page: Page, code: str) -> None:
    page.get_by_label("Control code", exact=True).fill(code)
    page.get_by_role("button", name="Unlock").click()
    expect(page.get_by_role("button", name="Unlock")).to_have_count(0, timeout=SLOW)


def test_other_sites_are_kept_out_and_the_banner_shows_when_the_page_server_hangs(page: Page, monitor: Monitor) -> None:
    response = page.request.get(monitor.url)
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-frame-options"] == "DENY"

    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect(page.get_by_text("No samples yet")).to_be_visible(timeout=SLOW)
    banner = page.locator(".hx-stale")
    expect(banner).to_have_css("opacity", "0")
    os.killpg(monitor.process.pid, signal.SIGSTOP)
    expect(banner).to_have_css("opacity", "1", timeout=SLOW)
    os.killpg(monitor.process.pid, signal.SIGCONT)
    expect(banner).to_have_css("opacity", "0", timeout=SLOW)
    assert not errors


def test_a_run_is_started_watched_steered_and_stopped(page: Page, monitor: Monitor) -> None:
    outside: list[str] = []
    page.on(
        "request", lambda request: outside.append(request.url) if "127.0.0.1" not in request.url and request.url[:4] == "http" else None
    )
    expect(page.get_by_role("button", name="Start")).to_be_disabled(timeout=SLOW)
    unlock(page, monitor.code)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile("RUNNING:"))).to_be_visible(timeout=2 * SLOW)
    expect(page.get_by_text(re.compile("EMULATOR")).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d+ / 500")).first).to_be_visible()
    for button, word in (("Pause", "PAUSED:"), ("Resume", "RUNNING:")):
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_text(re.compile(f"{button.lower()}: requested → acknowledged"))).to_be_visible()
        expect(page.get_by_text(re.compile(word)).first).to_be_visible()
    page.get_by_role("button", name="Spike").click()
    expect(page.get_by_text(re.compile("spike: requested → acknowledged"))).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Type the run's name to stop it").fill("demo")
    page.get_by_role("button", name="Stop now").click()
    expect(page.get_by_text(re.compile("STOPPED:|the last one, as the database has it")).first).to_be_visible(timeout=2 * SLOW)
    assert not outside
