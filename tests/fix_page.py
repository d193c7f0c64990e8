"""The page as a user serves it, with a Chromium before it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = "/usr/bin/chromium"
# --no-sandbox: Chromium refuses to start as root without it; the page is our own
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--mute-audio"]
REBINDING = "--host-resolver-rules=MAP evil.test 127.0.0.1"
SLOW = 60_000.0  # ms
SEEN_WITHIN_S = 3.0


@dataclass
class Monitor:
    process: subprocess.Popen[str]
    port: int
    code: str
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def monitor(passable_home: Path, tmp_path: Path) -> Iterator[Monitor]:
    """Whatever Streamlit's own settings are: here the user's say that the page is elsewhere, and open to everyone."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit/config.toml").write_text('[server]\nbaseUrlPath = "other"\naddress = "0.0.0.0"\nenableCORS = false\n')
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if name != "HELIX_CONTROL_TOKEN"}
    process = subprocess.Popen(
        [sys.executable, "-c", "from helix_ray.cli import main; main()", "monitor", "--port", str(port)],
        cwd=ROOT,
        env={**clean, "HELIX_HOME": str(passable_home), "HOME": str(tmp_path), "STREAMLIT_SERVER_BASE_URL_PATH": "another"},
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
    yield Monitor(process, port, code, passable_home)
    os.killpg(process.pid, signal.SIGCONT)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, REBINDING])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, monitor: Monitor) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(SLOW)
    page.goto(monitor.url)
    return page


def beside(viewer: Coroutine[None, None, None]) -> None:
    """In a thread of its own: Playwright's loop holds this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, viewer).result()


def button(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Page, label: str, name: str = "") -> None:
    """Chooses an option of a list: the one of this name, or the first. A scroll closes an open list, so it comes before the click."""
    listed = page.get_by_label(label, exact=True)
    option = page.get_by_role("option", name=name, exact=True) if name else page.get_by_role("option").first
    listed.scroll_into_view_if_needed()
    for _ in range(10):
        listed.click()
        with suppress(TimeoutError):
            return option.click(timeout=3000)
    raise AssertionError(f"the list {label!r} stays closed")


def unlock(page: Page, code: str) -> None:
    page.get_by_label("Control code", exact=True).fill(code)
    button(page, "Unlock")
    expect(page.get_by_role("button", name="Give up control")).to_be_visible(timeout=SLOW)


def says(page: Page, words: str, timeout: float = SLOW) -> float:
    """Waits for these words in the bar of the run's state; Unix seconds of when they were there."""
    expect(page.locator(".hx-bar").first).to_contain_text(re.compile(words, re.DOTALL), timeout=timeout)
    return time.time()


def assert_readable(page: Page) -> None:
    """No critical and no serious finding of axe, light and dark, wide and narrow."""
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function("scheme => matchMedia(`(prefers-color-scheme: ${scheme})`).matches", arg=scheme)
            found = Axe().run(page).response["violations"]
            bad = [(it["id"], [node["html"][:200] for node in it["nodes"]]) for it in found if it["impact"] in ("critical", "serious")]
            assert not bad, f"{page.url}, {scheme}, {width} px: {bad}"
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")


def start_endless(page: Page, monitor: Monitor) -> None:
    page.goto(f"{monitor.url}/start")
    unlock(page, monitor.code)
    button(page, "Start")
    page.goto(monitor.url)
    says(page, "RUNNING", 2 * SLOW)
