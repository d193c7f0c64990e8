"""The log of a whole run, as a test reads it."""

from __future__ import annotations

from pathlib import Path

from helix_ray.environment.logs import Event, Line, LogReader, find_log, short


def read_log(home: Path) -> list[Line]:
    """Of the last run, in order."""
    return [*LogReader(find_log(home, None)).new_lines()]


def of(lines: list[Line], *events: Event) -> list[Line]:
    return [line for line in lines if line["event"] in events]


def successors(lines: list[Line]) -> list[Line]:
    """The starts that were not the first of their actor: one after each death, in order."""
    return [line for line in of(lines, Event.ACTOR_STARTED) if line["starts"] > 1]


def kind_of(line: Line) -> str:
    """``AnalyzerActor`` for a line of ``helix-analyzer-1``."""
    return short(line["actor"]).rstrip("-0123456789").capitalize() + "Actor"
