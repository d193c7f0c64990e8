"""The log of a run, written and read: JSON lines, one file for each process and incarnation, below ``HELIX_HOME/logs/RUN_ID/``.

Any module may log: ``log = event_logger(__name__)``, then ``log.warning(Event.OUTAGE_BEGAN, connection="rows", exc_info=error)``;
the keywords become keys of the line. Nothing is written before `begin_log`, and a line that cannot be written ends nothing.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import logging
import logging.handlers
import os
import shutil
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from helix_ray.environment.secrets import hide_known
from helix_ray.errors import ConfigError

FILE_BYTES = 10_000_000
RUN_BYTES = 100_000_000
KEPT_RUNS = 20
LONGEST_TEXT = 20_000
"""Characters of one value."""

REPEATS, REPEATS_WINDOW_S = 5, 60.0
"""So many tracebacks of one event, kind of error and peer are written in so many seconds; the others are counted."""

DRIVER = "driver"
_ROOT = "helix_ray"
_OF_PYTHON = ("exc_info", "stack_info", "stacklevel")


class Event(StrEnum):
    """What a line is about. docs/operations.md has the table with the meaning of each."""

    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    DRIVER_DIED = "driver_died"
    DRIVER_FAILED = "driver_failed"
    RAY_STARTED = "ray_started"
    RAY_ENDED = "ray_ended"
    EMULATOR_STARTED = "emulator_started"
    ACTORS_CREATED = "actors_created"
    ACTOR_STARTED = "actor_started"
    ACTOR_DIED = "actor_died"
    ACTOR_HUNG = "actor_hung"
    ACTOR_RESTARTED = "actor_restarted"
    ACTOR_FAILED = "actor_failed"
    ACTOR_MISPLACED = "actor_misplaced"
    FOREIGN_PACKAGE = "foreign_package"
    LOOP_ENDED = "loop_ended"
    QUEUE_OPENED = "queue_opened"
    THROTTLE_RESTORED = "throttle_restored"
    OUTAGE_BEGAN = "outage_began"
    OUTAGE_ENDED = "outage_ended"
    SINK_FAILED = "sink_failed"
    PEER_AWAY = "peer_away"
    PEER_BACK = "peer_back"
    REDELIVERED = "redelivered"
    REOFFERED = "reoffered"
    COOLDOWN_CLOSED = "cooldown_closed"
    DAY_PARKED = "day_parked"
    DAY_ENDED = "day_ended"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    FORM_REFUSED = "form_refused"
    PROVIDER_REFUSED = "provider_refused"
    DEAD_LETTER = "dead_letter"
    COMMAND = "command"
    ENDING = "ending"
    REPLY = "reply"
    ERROR_HANDLED = "error_handled"
    KEY_WITHOUT_EFFECT = "key_without_effect"
    MESSAGE = "message"


class EventLogger(logging.LoggerAdapter[logging.Logger]):
    """Its methods take an `Event` and keywords, which become keys of the line; so does what is in the mapping ``facts``."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        pythons = {key: value for key, value in kwargs.items() if key in _OF_PYTHON}
        facts = {key: value for key, value in kwargs.items() if key not in _OF_PYTHON}
        return msg, {**pythons, "extra": {"facts": {**facts.pop("facts", {}), **facts}}}


def event_logger(name: str) -> EventLogger:
    return EventLogger(logging.getLogger(name))


logging.getLogger(_ROOT).addHandler(logging.NullHandler())  # without `begin_log`, as in a client, nothing is printed


@dataclass(frozen=True, slots=True)
class RunLog:
    """Where the processes of one run log. ``writers``: how many of them are alive at once; they share `RUN_BYTES`.

    ``driver_node``: on a cluster, the node that has ``home``; actors of other nodes log into their Ray session's folder.
    """

    home: Path
    run_id: str
    level: str = "info"  # debug | info | warning | error
    writers: int = 1
    driver_node: str | None = None

    @property
    def folder(self) -> Path:
        return logs_of(self.home) / self.run_id


def logs_of(home: Path) -> Path:
    return home / "logs"


def begin_log(run_log: RunLog | None, actor: str, incarnation: str) -> logging.Handler | None:
    """From now on this process logs as this incarnation. Raises nothing, since an actor's constructor calls it. None: no log."""
    if run_log is None:
        return None
    handler = _RunFileHandler(run_log, actor, incarnation)
    handler.setFormatter(JsonFormatter(run_log.run_id, actor, incarnation))
    handler.addFilter(_worth_a_line)
    handler.addFilter(_Repeats())
    level = logging.getLevelNamesMapping()[run_log.level.upper()]
    handler.setLevel(level)
    logging.getLogger(_ROOT).setLevel(level)
    logging.getLogger().addHandler(handler)  # other libraries' warnings, too
    return handler


@contextmanager
def driver_log(run_log: RunLog) -> Iterator[None]:
    """The driver logs inside. Its incarnation begins with the number of its process. Old runs' logs are removed first."""
    _remove_old_runs(run_log)
    handler = begin_log(run_log, DRIVER, f"{os.getpid()}-{os.urandom(2).hex()}")
    try:
        yield
    finally:
        if handler is not None:
            logging.getLogger().removeHandler(handler)
            handler.close()


class JsonFormatter(logging.Formatter):
    """One line of ASCII: ``ts level logger event run actor incarnation``, then the facts, then the traceback."""

    def __init__(self, run_id: str, actor: str, incarnation: str) -> None:
        super().__init__()
        self._writer = {"run": run_id, "actor": actor, "incarnation": incarnation}

    def format(self, record: logging.LogRecord) -> str:
        ours = isinstance(record.msg, Event)
        facts = getattr(record, "facts", {}) if ours else {"text": record.getMessage()}
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg if ours else Event.MESSAGE,
            **self._writer,
        }
        line |= {key: value for key, value in facts.items() if key not in line}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(_clean(line))


def _clean(value: object) -> object:
    """As JSON has it, without secrets, and no text longer than `LONGEST_TEXT`."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _clean(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(item) for item in value]
    text = hide_known(str(value))
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ... ({len(text)} characters)"


def _worth_a_line(record: logging.LogRecord) -> bool:
    """An actor that is dismissed ends with its loops; what asyncio says of that is no error."""
    return not (record.name == "asyncio" and record.getMessage().startswith("Task was destroyed but it is pending"))


class _Repeats(logging.Filter):
    """Bounds what an error that comes again and again adds to the log; the line that follows says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[tuple[object, ...], list[float]] = defaultdict(list)
        self._left_out: dict[tuple[object, ...], int] = defaultdict(int)

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.exc_info:
            return True
        facts = getattr(record, "facts", {})
        key = (record.name, str(record.msg), record.exc_info[0], facts.get("what"), facts.get("peer"), facts.get("part"))
        recent = [at for at in self._written[key] if record.created - at < REPEATS_WINDOW_S]
        self._written[key] = recent
        if len(recent) >= REPEATS:
            self._left_out[key] += 1
            return False
        recent.append(record.created)
        if left_out := self._left_out.pop(key, 0):
            record.facts = {**facts, "left_out": left_out}
        return True


class _RunFileHandler(logging.handlers.RotatingFileHandler):
    """Half of `RUN_BYTES` is shared by the files that are being written, half by those that are closed; the oldest of these go.

    A file is locked while its writer lives, so that another process can tell. Lines that cannot be written are counted, and the
    next line says how many (``dropped``).
    """

    def __init__(self, run_log: RunLog, actor: str, incarnation: str) -> None:
        self._folder = run_log.folder
        self._dropped = 0
        most = min(FILE_BYTES, RUN_BYTES // 2 // run_log.writers)
        super().__init__(self._folder / f"{actor}-{incarnation}.jsonl", maxBytes=most, backupCount=9, encoding="ascii", delay=True)

    def _open(self) -> Any:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(self._folder, RUN_BYTES // 2)
        stream: TextIO = super()._open()
        os.fchmod(stream.fileno(), 0o600)
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return stream

    def format(self, record: logging.LogRecord) -> str:
        if self._dropped:
            record.facts = {**getattr(record, "facts", {}), "dropped": self._dropped}
        return super().format(record)

    def handleError(self, record: logging.LogRecord) -> None:
        self._dropped += 1


def _make_room(folder: Path, most_bytes: int) -> None:
    closed = sorted((path for path in folder.glob("*.jsonl*") if not is_written(path)), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in closed)
    for path in closed:
        if total <= most_bytes:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)


def is_written(path: Path) -> bool:
    """Whether the process that writes this file is alive."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def log_folders(home: Path) -> list[Path]:
    """One for each run, the newest last."""
    found = [path for path in logs_of(home).glob("*-*-*-*-*") if path.is_dir()] if logs_of(home).is_dir() else []
    return sorted(found, key=lambda path: path.stat().st_mtime)


def _remove_old_runs(run_log: RunLog) -> None:
    with suppress(OSError):
        for folder in [path for path in log_folders(run_log.home) if path != run_log.folder][: 1 - KEPT_RUNS]:
            shutil.rmtree(folder, ignore_errors=True)


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


def actors_of(folder: Path) -> set[str]:
    """Every name that `shown` takes for an actor of this run."""
    full = {path.name.partition(".")[0].rpartition("-")[0] for path in folder.glob("*.jsonl*")}
    full = {DRIVER if name.startswith(f"{DRIVER}-") else name for name in full}  # its incarnation has a hyphen
    return {each for name in full for each in (name, short(name), short(name).rstrip("0123456789").removesuffix("-"))}


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
    return "\n".join([visible(head), *(f"    | {visible(row)}" for row in rows if tracebacks)])


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and (not text or set(text) & set(' "=\n')) else text


def visible(text: str) -> str:
    """What a terminal can show: control characters as their codes."""
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
