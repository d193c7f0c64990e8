"""Output that cannot be written, to a full disk, a closed pipe or a terminal that is gone, is dropped; the work goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from helix_ray.environment.logs import Event, event_logger

log = event_logger(__name__)


class UnfailingStream:
    """A text stream whose writing never fails. The first failure is logged, since nothing else tells of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said = False

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except (OSError, ValueError) as error:  # ValueError: it was closed, or has no such character
            self._note(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._note(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _note(self, error: Exception) -> None:
        if not self._said:
            self._said = True  # first: the log may lead here
            log.warning(Event.ERROR_HANDLED, what=f"output to {getattr(self._stream, 'name', 'a stream')} is dropped", exc_info=error)


@contextmanager
def unfailing_output() -> Iterator[None]:
    """Inside, writing to the standard output and error raises nothing; nor does Python's own flush at the end of the process."""
    before = sys.stdout, sys.stderr
    if before[0] is not None:
        sys.stdout = UnfailingStream(before[0])
    if before[1] is not None:
        sys.stderr = UnfailingStream(before[1])
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
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()
