"""The log of a run, read: the files of all its processes as one sequence in time, and a line as people read it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helix_ray.environment.logs import DRIVER, Event, is_written, log_folders
from helix_ray.errors import ConfigError

Line = dict[str, Any]

LEVELS = ("debug", "info", "warning", "error")
_IN_FRONT = {"ts", "level", "logger", "event", "run", "actor", "incarnation", "traceback"}


def find_log(home: Path, run: str | None) -> Path:
    """The folder of this run: by its UUID or a unique beginning of it; None, ``last``: the last one. ConfigError says which there are."""
    folders = log_folders(home)
    if not folders:
        raise ConfigError("helix logs", [f"there are no logs in {home}; HELIX_HOME says where runs are looked for"])
    if run in (None, "last"):
        return folders[-1]
    found = [folder for folder in folders if folder.name.startswith(str(run))]
    if len(found) != 1:
        names = ", ".join(folder.name for folder in reversed(found or folders))
        problem = "more than one run begins so" if found else "no such run has logs (the newest 20 are kept)"
        raise ConfigError(f"helix logs {run}", [f"{problem}; name one of: {names}"])
    return found[0]


class LogReader:
    """Each call of `new_lines` goes on where the last one ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[int, int] = {}  # bytes, by inode: a full file gets another name

    def new_lines(self) -> Iterator[Line]:
        """Complete lines in the order of their time. What is no line of a log, as when a disk was full, is left out."""
        return heapq.merge(*map(self.rest_of, sorted(self._folder.glob("*.jsonl*"))), key=lambda line: str(line["ts"]))

    def rest_of(self, path: Path) -> Iterator[Line]:
        """Of one file."""
        try:
            with path.open("rb") as file:
                inode = path.stat().st_ino
                file.seek(self._read.get(inode, 0))
                text = file.read()
        except FileNotFoundError:
            return
        complete = text[: text.rfind(b"\n") + 1]
        self._read[inode] = self._read.get(inode, 0) + len(complete)
        for row in complete.splitlines():
            try:
                line = json.loads(row)
            except ValueError:
                continue
            if isinstance(line, dict) and {"ts", "level", "event", "actor"} <= line.keys():
                yield line


def shown(line: Line, actor: str | None, level: str) -> bool:
    """``actor``: ``queue``, ``helix-queue``, ``analyzer`` for all analyzers or ``analyzer-1`` for one."""
    if LEVELS.index(level) > LEVELS.index(line["level"] if line["level"] in LEVELS else "error"):
        return False
    name = short(line["actor"])
    return actor is None or short(actor) in (name, name.rstrip("0123456789").removesuffix("-"))


def short(actor: str) -> str:
    return actor.removeprefix("helix-")


def local_time(line: Line) -> datetime:
    return datetime.fromisoformat(line["ts"]).astimezone()


def for_people(line: Line, tracebacks: bool = False) -> str:
    """``12:03:04.123 WARNING sink  outage began: connection=rows``, in local time. Of a traceback the error, or all of it below."""
    when = local_time(line).strftime("%H:%M:%S.%f")[:-3]
    rows = str(line.get("traceback", "")).strip().splitlines()
    told = {key: value for key, value in line.items() if key not in _IN_FRONT} | ({"error": rows[-1]} if rows and not tracebacks else {})
    facts = " ".join(f"{key}={_value(value)}" for key, value in told.items())
    head = f"{when} {line['level'].upper():<7} {short(line['actor']):<10} {line['event'].replace('_', ' ')}{': ' if facts else ''}{facts}"
    return "\n".join([_printable(head), *(f"    | {_printable(row)}" for row in rows if tracebacks)])


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and (not text or set(text) & set(' "=\n')) else text


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def last_driver(folder: Path) -> Line | None:
    """The last line of a driver that is gone and did not say that its session ended; None: the last one did, or is alive.

    ``until`` is when any process of the run wrote last, which is about when it died.
    """
    files = sorted(folder.glob(f"{DRIVER}-*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not files or is_written(files[-1]):
        return None
    lines = [*LogReader(folder).rest_of(files[-1])]
    if not lines or any(line["event"] == Event.SESSION_ENDED for line in lines):
        return None
    until = max(path.stat().st_mtime for path in folder.glob("*.jsonl"))  # its actors outlive it by less than a second
    return lines[-1] | {"until": datetime.fromtimestamp(until, UTC).isoformat(timespec="milliseconds")}
