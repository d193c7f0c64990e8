"""The page for minutes: many hands on it, a server that hangs, a run that is killed. Run by make test-peers."""

import asyncio
import json
import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from fix_page import CHROMIUM, FLAGS, SEEN_WITHIN_S, SLOW, Monitor, beside, button, says, start_endless
from fix_run import helix
from helix_ray.storage import embedded
from support.page_viewer import PageViewer

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]


def press(page: Page, action: str, value: str) -> None:
    """Presses one control; "flow" is the button that pauses or resumes, whichever there is."""
    if action in ("flow", "spike"):
        page.get_by_role("button", name=re.compile("^(Pause|Resume)$" if action == "flow" else "^Spike")).click()
        return
    field = page.locator(f".st-key-{action}_value input")
    label = {"rate": "^Rate", "concurrency": "^In flight", "budget": r"^Cap \$"}[action]
    page.get_by_role("button", name=re.compile(label)).click()
    field.fill(value)
    page.locator(f".st-key-{action}_button button").click()


def answered(page: Page, action: str) -> tuple[str, str]:
    """The action and the words of the acknowledgement that this page now shows of it."""
    words = "(pause|resume)" if action == "flow" else action
    found = re.compile(rf"UTC {words}: requested → acknowledged in [0-9.]+ s: (.*)")
    match = found.search(page.get_by_text(found).first.inner_text())
    assert match is not None
    return match.group(1) if action == "flow" else action, match.groups()[-1]


def test_of_200_random_requests_from_three_browsers_none_is_lost_or_applied_twice(page: Page, browser: Browser, monitor: Monitor) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    start_endless(page, monitor)
    pages = [page]
    for _ in range(2):
        other = browser.browser_type.launch(executable_path=CHROMIUM, args=FLAGS).new_context(viewport={"width": 1440, "height": 900})
        other.add_cookies(page.context.cookies())  # type: ignore[arg-type]
        pages.append(other.new_page())
        pages[-1].set_default_timeout(SLOW)
        pages[-1].goto(monitor.url)
    caps = iter(f"{99 - place / 4:g}" for place in range(200))  # ever lower: a higher one is asked about first

    def value(action: str) -> str:
        return {"rate": f"{dice.uniform(2, 12):.3f}", "concurrency": str(dice.randint(1, 4)), "budget": next(caps)}.get(action, "")

    said: Counter[tuple[str, str]] = Counter()
    last: dict[Page, str] = {}
    actions = ["flow", "spike", "rate", "concurrency", "budget"]
    for _ in range(34):  # three at once
        for each in pages:
            taken = {last.get(each), *(last[it] for it in pages[: pages.index(each)])}
            last[each] = dice.choice([action for action in actions if action not in taken])
            press(each, last[each], value(last[each]))
        said.update(answered(each, last[each]) for each in pages)
    late: list[float] = []
    before = ""
    for place in range(98):  # one after the other, each until the page shows its effect
        each = pages[place % 3]
        action = dice.choice([it for it in actions if it not in (last[each], before)])
        last[each] = before = action
        press(each, action, value(action))
        words = "(pause|resume)" if action == "flow" else action
        seen = page.wait_for_function(
            "words => new RegExp(words).test(document.querySelector('.hx-bar .told')?.innerText ?? '') && Date.now()",
            arg=f"UTC {words}\\b.*in effect",
            polling=50,
        ).json_value()
        late.append(float(seen) / 1000)
        said.update([answered(each, action)])
    control = json.loads(helix(monitor.home, "status", "--json").stdout)["control"]
    with psycopg.connect(embedded.embedded_url(monitor.home)) as database:
        rows = database.execute(
            "SELECT action, message, accepted, value_from, value_to, extract(epoch FROM in_effect_at) "
            "FROM helix.control_events ORDER BY asked_at"
        ).fetchall()
    button(page, "Drain")
    says(page, "STOPPED.*as the database has it", 2 * SLOW)
    embedded.stop(monitor.home)
    assert Counter((action, message) for action, message, *_ in rows) == said
    assert sum(said.values()) == 200
    state: dict[str, object] = {}
    for _, _, accepted, value_from, value_to, _ in rows:
        assert accepted
        assert all(state.get(name, old) == old for name, old in json.loads(value_from).items()), "each change begins where the last ended"
        state |= json.loads(value_to)
    assert control["version"] == len(rows), "each was applied once"
    assert {name: control[name] for name in state if name in control} == {name: new for name, new in state.items() if name in control}
    delays = sorted(seen - float(row[-1]) for seen, row in zip(late, rows[-len(late) :], strict=True))
    in_time = sum(delay <= SEEN_WITHIN_S for delay in delays)
    print(f"{in_time} of {len(delays)} within {SEEN_WITHIN_S} s; median {delays[len(delays) // 2]:.2f}, most {delays[-1]:.2f} s")
    assert in_time >= 0.95 * len(delays)


PROBE = """() => {
  window.probe = {frames: 0, blank: [], shift: 0};
  new PerformanceObserver(list => { for (const it of list.getEntries()) if (!it.hadRecentInput) window.probe.shift += it.value; })
    .observe({type: 'layout-shift'});
  const small = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const drawn = canvas => {
    small.clearRect(0, 0, 64, 16); small.drawImage(canvas, 0, 0, 64, 16);
    return small.getImageData(0, 0, 64, 16).data.some((value, place) => place % 4 == 3 && value);
  };
  const look = () => {
    const missing = ['.hx-bar', '.hx-cells', '.hx-stages', '[class*=hx-charts] canvas'].filter(name => {
      const it = document.querySelector(name);
      return !it || !it.offsetHeight || (it.tagName == 'CANVAS' ? !drawn(it) : !it.innerText);
    });
    window.probe.frames += 1;
    if (missing.length) window.probe.blank.push(missing.join());
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def drawn_series(port: int) -> list[list[float | None]]:
    """Of the chart that a new viewer is sent: milliseconds, waiting reads, and the three rates."""
    found: list[list[list[float | None]]] = []

    def got(data: bytes) -> None:
        found.extend(json.loads(text) for text in re.findall(rb'"source": ?(\[\[.*?\]\])', data))

    async def watch() -> None:
        async with asyncio.timeout(8):
            await PageViewer(port).watch(got)

    with pytest.raises(TimeoutError):
        beside(watch())
    return found[-1]


def test_no_frame_is_blank_no_peak_is_false_and_a_lost_server_or_driver_is_said_in_time(
    page: Page, browser: Browser, monitor: Monitor
) -> None:
    start_endless(page, monitor)
    page.wait_for_timeout(15_000)  # the rates have settled
    page.evaluate(PROBE)
    page.wait_for_timeout(15_000)
    probe = page.evaluate("window.probe")
    print(f"{probe['frames']} frames, {len(probe['blank'])} blank, layout shift {probe['shift']:.4f}")
    assert probe["frames"] > 100
    assert not probe["blank"]
    assert probe["shift"] < 0.01

    banner = page.locator(".hx-late")
    os.killpg(monitor.process.pid, signal.SIGSTOP)
    hung_at = time.time()
    expect(banner).to_have_css("visibility", "visible", timeout=6000)
    shown_s = time.time() - hung_at
    page.wait_for_timeout(8000 - 1000 * shown_s)
    os.killpg(monitor.process.pid, signal.SIGCONT)
    woken_at = time.time()
    expect(banner).to_have_css("visibility", "hidden", timeout=2000)
    print(f"banner after {shown_s:.1f} s, gone {time.time() - woken_at:.1f} s after the server went on")
    page.wait_for_timeout(8000)
    rows = drawn_series(monitor.port)
    for place, name in ((2, "in"), (3, "LLM"), (4, "stored")):
        rates = [(row[0] or 0.0, row[place] or 0.0) for row in rows]
        before, after = (max(rate for at, rate in rates if (at / 1000 > hung_at) is later) for later in (False, True))
        print(f"{name}: at most {before:.1f} reads/s before, {after:.1f} after")
        assert after <= 1.5 * before

    page.goto(f"{monitor.url}/run")
    run_file = json.loads((monitor.home / "run.json").read_text())
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("Ray")).click()
    ray = opened.value
    ray.get_by_role("dialog").get_by_role("textbox").or_(ray.locator("input[type=password]")).first.fill(
        Path(run_file["token_path"]).read_text()
    )
    ray.get_by_role("dialog").get_by_role("button", name=re.compile("Submit|Update", re.IGNORECASE)).click()
    expect(ray.get_by_role("dialog")).to_be_hidden(timeout=SLOW)
    ray.goto(f"{run_file['dashboard_url']}/#/actors")
    for kind in ("Queue", "Throttle", "Producer", "Analyzer", "Sink", "Metrics", "Control"):
        expect(ray.get_by_text(f"{kind}Actor", exact=True).first).to_be_visible(timeout=SLOW)

    page.goto(monitor.url)
    says(page, "RUNNING")
    os.kill(run_file["pid"], signal.SIGKILL)
    killed_at = time.time()
    gone = says(page, "LAST SEEN|process is gone|No live run", 6000) - killed_at
    over = says(page, "No live run", 12_000) - killed_at
    print(f"the driver's death is said after {gone:.1f} s, no live run after {over:.1f} s")
    assert gone < 6
    assert over < 12
