"""From a snapshot to the HTML of the page Live, without Streamlit, so that every state can be tested without a page."""

from __future__ import annotations

from helix_ray._dashboard.drawing import macros
from helix_ray._dashboard.feed import View
from helix_ray.client.measures import by_stratum, by_type, mistakes, overall
from helix_ray.metrics.snapshot import BucketView, MetricsSnapshot
from helix_ray.metrics.state import throttle_lines
from helix_ray.records import FAILURE_KINDS

_live, _books = macros("live.html"), macros("books.html")


def top(view: View, *, starting: bool = False, code: int | None = None, tail: str = "", told: str = "") -> str:
    """The state bar, and how the run goes that was started here. ``told``: how far the last command has come."""
    return str(_live.top(view, starting, code, tail, told))


def late_banner(beat: int) -> str:
    return str(_live.late_banner(beat))


def hello() -> str:
    return str(_live.hello())


def cells(view: View) -> str:
    snapshot = view.snapshot
    assert snapshot is not None
    return str(_live.cells(view, binding_bucket(snapshot), throttle_lines(snapshot), overall(snapshot)))


def binding_bucket(snapshot: MetricsSnapshot) -> BucketView | None:
    """The limit that requests wait for, else the one that has least left."""
    throttle = snapshot.throttle
    named = next((bucket for bucket in throttle.buckets if bucket.name == throttle.binding), None)
    return named or min((it for it in throttle.buckets if it.headroom is not None), key=lambda it: it.headroom or 0.0, default=None)


def actors(snapshot: MetricsSnapshot) -> str:
    return str(_live.actors(snapshot))


def limits(snapshot: MetricsSnapshot) -> str:
    return str(_live.buckets(snapshot)) + str(_live.api(snapshot, throttle_lines(snapshot), FAILURE_KINDS))


def types(snapshot: MetricsSnapshot) -> str:
    """Found, missed and false calls by type, and what kind the mistakes are."""
    return str(_live.measures("By type", "type", by_type(snapshot)))


def mistaken(snapshot: MetricsSnapshot) -> str:
    return str(_live.mistakes(mistakes(snapshot)))


def stratum(snapshot: MetricsSnapshot, dimension: str) -> str:
    return str(_live.measures(f"By {dimension}", dimension, by_stratum(snapshot, dimension)))


def reconciliation(snapshot: MetricsSnapshot) -> str:
    """Every read that was admitted is somewhere."""
    return str(_books.reconciliation(snapshot))
