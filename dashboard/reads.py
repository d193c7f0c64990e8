"""Reads as people look at them: the window over the read with its differences lit, and the log of alerts.

Bases are letters of ACGTN or a question mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup

from helix_ray._dashboard.drawing import macros
from helix_ray.client.stored import ReadStory
from helix_ray.metrics.recent import Mark, RecentRead, marks_of
from helix_ray.metrics.snapshot import MetricsSnapshot

_books = macros("books.html")
ALL, WRONG, DEAD = FILTERS = ("all", "wrong", "dead letters")
FEED_READS, LOG_READS = 3, 10
UNLIT = ("", "other", "error")
COLUMNS, LEAD = 96, 12  # of the window that are shown at once, and of these before its first difference
MOSTLY = 0.3  # of the columns: with more that differ, the two rows are not aligned, and saying where is no use

_BASE_TAGS = {"A": "a", "C": "b", "G": "u", "T": "s"}  # the shortest that CSS can tell apart: a row has some fifty changes of letter


class Column(NamedTuple):
    window: str  # a base, "-" where the read has more, "?" for what is no base
    read: str
    kind: str = ""  # of a `Mark`; other: a difference without a mark, error: a known sequencing error; "": the same
    first: bool = False  # of its difference: here stands the sign


def aligned(window: str, read: str, marks: Iterable[Mark]) -> list[Column]:
    """Window over read, led by the marks: what was found or missed says where bases came in or went."""
    columns: list[Column] = []
    at = start = 0  # of the window, of the read
    invented = {mark.pos - 1: mark for mark in marks if mark.kind == "invented"}

    def upto(end: int) -> None:
        nonlocal at, start
        for place, (base, own) in enumerate(zip(window[at:end], read[start:], strict=False), at):
            called = next((it for first, it in invented.items() if first <= place < first + max(1, len(it.ref))), None)
            kind = "invented" if called else "other" if base != own and "N" not in (base, own) else ""
            columns.append(Column(_base(base), _base(own), kind, (called is not None and place == called.pos - 1) or kind == "other"))
        done = min(end - at, len(read) - start)
        at, start = at + done, start + done

    for mark in sorted(marks, key=lambda it: it.pos):
        if mark.kind == "invented" or mark.pos - 1 < at:
            continue
        upto(mark.pos - 1)
        if window[at : at + len(mark.ref)] != mark.ref or read[start : start + len(mark.alt)] != mark.alt:
            continue  # told another way, or beside a sequencing error: what differs shows itself
        same = 1 if len(mark.ref) != len(mark.alt) and mark.ref[:1] == mark.alt[:1] else 0
        columns += [Column(base, base) for base in mark.ref[:same]]
        gone, come = mark.ref[same:], mark.alt[same:]
        width = max(len(gone), len(come))
        pairs = zip(gone.ljust(width, "-"), come.ljust(width, "-"), strict=True)
        columns += [Column(_base(base), _base(own), mark.kind, place == 0) for place, (base, own) in enumerate(pairs)]
        at, start = at + len(mark.ref), start + len(mark.alt)
    upto(len(window))
    columns += [Column(_base(base), "-", "other") for base in window[at:]] + [Column("-", _base(own), "other") for own in read[start:]]
    return columns


def _base(letter: str) -> str:
    return letter if letter in "ACGTN-" else "?"


@lru_cache(512)
def strip(window: str, read: str, marks: tuple[Mark, ...]) -> Markup:
    """The columns around the first difference as HTML. Hidden from screen readers, which get the marks in words."""
    columns = _columns(window, read, marks)
    told = [place for place, column in enumerate(columns) if column.kind not in UNLIT]
    begin = min(max(0, told[0] - LEAD) if told else 0, max(0, len(columns) - COLUMNS))
    after = "…" if begin + COLUMNS < len(columns) else ""
    return _block(columns[begin : begin + COLUMNS], "…" if begin else " ", after)


def whole(window: str, read: str, marks: tuple[Mark, ...], width: int = 100) -> Markup:
    """All columns, ``width`` in a line, with the window's position at its beginning."""
    columns, blocks, at = _columns(window, read, marks), [], 1
    for begin in range(0, len(columns), width):
        shown = columns[begin : begin + width]
        blocks.append(Markup('<div class="soft">from base {}</div>{}').format(at, _block(shown, " ", "")))
        at += sum(column.window != "-" for column in shown)
    return Markup().join(blocks)


def _columns(window: str, read: str, marks: tuple[Mark, ...]) -> list[Column]:
    columns = aligned(window, read, marks)
    if sum(column.kind == "other" for column in columns) <= MOSTLY * len(columns):
        return columns
    return [column._replace(kind="", first=False) if column.kind == "other" else column for column in columns]


def _block(shown: Sequence[Column], before: str, after: str) -> Markup:
    """Three rows: the window, the read, the signs."""
    rows = []
    for name, index in (("window", 0), ("read", 1)):
        letters = "".join(
            _lit(kind, [column.read if index else column.window for column in group], name) for kind, group in _by_kind(shown)
        )
        rows.append(f'<div class="{name}">{name:<7}{before}{letters}{after}</div>')
    signs = "".join(f'<span class="at {it.kind}">{_books.SIGNS[it.kind]}</span>' if it.first else " " for it in shown)
    signed = f"<div>{' ' * 8}{signs}</div>" if signs.strip() else ""
    return Markup(f'<div class="hx-seq" aria-hidden="true">{"".join(rows)}{signed}</div>')  # noqa: S704  (checked letters)


def _by_kind(columns: Sequence[Column]) -> Iterable[tuple[str, list[Column]]]:
    return ((kind, list(group)) for kind, group in groupby(columns, key=lambda column: column.kind))


def _lit(kind: str, letters: list[str], row: str) -> str:
    text = "".join(letters)
    if kind not in UNLIT:
        return f'<mark class="{kind}">{text}</mark>'
    if row == "window":
        return text
    runs = ((_BASE_TAGS.get(base), "".join(run)) for base, run in groupby(text))
    return "".join(run if tag is None else f"<{tag}>{run}</{tag}>" for tag, run in runs)


def feed(snapshot: MetricsSnapshot, most: int = FEED_READS) -> str:
    """The helix feed, newest first."""
    shown = [it for it in snapshot.recent_reads if it.ref_seq and it.seq][:most]
    return str(_books.feed([(it, strip(it.ref_seq or "", it.seq or "", it.marks)) for it in shown]))


def is_wrong(read: RecentRead) -> bool:
    return any(mark.kind in ("missed", "invented") for mark in read.marks)


def chosen(snapshot: MetricsSnapshot, which: str) -> list[RecentRead]:
    """Alerts are reads with a difference from the window; wrong ones are looked for among all reads."""
    if which == DEAD:
        return [read for read in snapshot.recent_reads if read.disposition == "dead_letter"]
    if which == ALL:
        return list(snapshot.recent_alerts)
    both = {read.read_index: read for read in (*snapshot.recent_alerts, *snapshot.recent_reads) if is_wrong(read)}
    return sorted(both.values(), key=lambda read: read.finished_at or 0.0, reverse=True)


def alert_log(snapshot: MetricsSnapshot, which: str, most: int = LOG_READS) -> str:
    """The mutation alerts, newest first."""
    return str(_books.alert_log(chosen(snapshot, which)[:most], which))


def story(told: ReadStory) -> str:
    """One read's alignment, with the known sequencing errors beside what was found, missed and invented; and what became of the read."""
    read = told.result.read
    errors = [Mark(it.pos, it.ref, it.alt, it.type, "error") for it in read.errors or ()]
    marks = sorted([*marks_of(told.result.variants), *errors], key=lambda mark: mark.pos)
    return str(_books.story(told, whole(read.ref_seq or "", read.seq or "", tuple(marks))))
