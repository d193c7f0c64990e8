"""Word of a run to an address of the user's: its end, and what a person should look at, as small JSON. The run never waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

import httpx

from helix_ray.environment.logs import Event, event_logger
from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.records import JsonObject
from helix_ray.results.schema import Report

log = event_logger(__name__)

TIMEOUT_S = 5.0
AGAIN_AFTER_S = 60.0
"""At most one alert of a kind within this time."""

FIGURES = ("reads_requested", "reads_stored", "dead_letters", "lost", "duplicates", "http_429", "cost_usd", "duration_s", "bottleneck")


class Notifier:
    """Called from the driver's loop. ``url`` None: nothing is sent. The address may hold a secret, so that no log names it."""

    def __init__(self, url: str | None, run: Mapping[str, object], now: Callable[[], float] = time.monotonic) -> None:
        """``run``: what every message says of the run."""
        self._url, self._run, self._now = url, {**run}, now
        self._told: set[str] = set()  # the alerts that last and were told
        self._told_at: dict[str, float] = {}
        self._sending: dict[str, threading.Thread] = {}  # the newest by kind

    def look(self, snapshot: MetricsSnapshot) -> None:
        """Sends an alert once for as long as its cause lasts, at most every `AGAIN_AFTER_S`."""
        found, totals, spent, now = dict(alerts(snapshot)), snapshot.totals, snapshot.money.spent_usd, self._now()
        counts: JsonObject = {"reads_stored": totals.stored, "dead_letters": totals.dead_letters, "http_429": totals.http_429}
        self._told &= found.keys()
        for kind in found.keys() - self._told:
            if now - self._told_at.get(kind, -AGAIN_AFTER_S) >= AGAIN_AFTER_S:
                self._told.add(kind)
                self._told_at[kind] = now
                self._send(kind, snapshot.state.lower(), found[kind], {**counts, "cost_usd": spent})

    def ended(self, report: Report) -> None:
        self._send("run_ended", report["status"], report["reason"], {key: value for key, value in report.items() if key in FIGURES})

    def wait(self) -> None:
        """Gives what is on its way `TIMEOUT_S` altogether."""
        deadline = time.monotonic() + TIMEOUT_S
        for thread in self._sending.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _send(self, event: str, status: str, reason: str, figures: JsonObject) -> None:
        if self._url is None:
            return
        if (before := self._sending.get(event)) is not None and before.is_alive():
            log.warning(Event.ERROR_HANDLED, what=f"the notification {event} is not sent: the one before it is still on its way")
            return
        body = {"event": event, **self._run, "status": status, "reason": reason, "figures": figures}
        sending = threading.Thread(target=_post, args=(self._url, event, body), name=f"notify {event}", daemon=True)
        try:
            sending.start()
            self._sending[event] = sending
        except RuntimeError:  # the system gives no more threads
            log.exception(Event.ERROR_HANDLED, what=f"the notification {event} is not sent")


def alerts(snapshot: MetricsSnapshot) -> Iterator[tuple[str, str]]:
    """What a person should look at, each with its reason."""
    throttle, money, outage_s = snapshot.throttle, snapshot.money, snapshot.sink.outage_s
    if outage_s:
        yield "outage", f"the database has not answered for {outage_s:.0f} s"
    elif throttle.breaker == "open":
        yield "outage", "the API keeps failing"
    elif snapshot.state == "DEGRADED":
        yield "degraded", snapshot.reason
    if throttle.parked is not None:
        yield "parked", f"the day's limit {throttle.parked} is used up"
    if money.max_cost_usd and (money.spent_usd or 0.0) >= 0.9 * money.max_cost_usd:
        yield "budget_nearly_used_up", "90 % of throttle.max_cost_usd is spent"


def _post(url: str, event: str, body: JsonObject) -> None:
    """A failure is logged: by its kind or status alone, since texts of errors may name the address."""
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client, client.stream("POST", url, json=body) as answer:  # its body is not read
            problem = None if answer.is_success else f"HTTP {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        problem = type(error).__name__
    if problem is not None:
        log.warning(Event.ERROR_HANDLED, what=f"the notification {event} was not taken: {problem}")
