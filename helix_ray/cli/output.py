"""Output that cannot be written, to a full disk, a closed pipe or a terminal that is gone, is dropped; the work goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from helix_ray.environment.logs import Event, event_logger

FAILURES = (OSError, ValueError)  # ValueError: the stream was closed, or has no such character

log = event_logger(__name__)


class UnfailingStream:
    """A text stream whose writing never fails. The first failure is logged, since nothing else tells of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said = False

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except FAILURES as error:
            if not self._said:
                self._said = True  # first: the log may lead here
                log.warning(Event.ERROR_HANDLED, what=f"output to {getattr(self._stream, 'name', 'a stream')} is dropped", exc_info=error)


@contextmanager
def unfailing_output() -> Iterator[None]:
    """Inside, writing to the standard output and error raises nothing; nor does Python's own flush at the end of the process."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and UnfailingStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in filter(None, before):
            _empty(stream)


def _empty(stream: TextIO) -> None:
    """What is still in its buffer goes where it can, or nowhere: Python would end with exit code 120."""
    try:
        stream.flush()
    except FAILURES:
        with suppress(*FAILURES), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), stream.fileno())
            stream.flush()
