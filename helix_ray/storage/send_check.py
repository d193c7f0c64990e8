"""What may be sent and what must be kept, decided from what is on record. Pure: every ledger and the model of the protocol share it.

A read is asked about unless it has a row, its result waits in the sink, or an answer is stored in which something for it may
still be found. The holder of such an answer may have died, so the answer is handed back and judged again, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


class Answer(NamedTuple):
    """A stored answer that at least one read still needs."""

    read_indices: Collection[int]
    unusable: Collection[int]  # of these: a later request said that nothing was found for them


class Facts(NamedTuple):
    """What is known about the reads of a request."""

    done: Collection[int]  # have a row
    unsaved: Collection[int]  # their result waits in the sink
    answers: Mapping[str, Answer]  # by call id, the oldest first


class Held(NamedTuple):
    """Reads that must not be asked about, by reason."""

    done: list[int]
    unsaved: list[int]
    answers: list[tuple[int, str]]  # (read index, call id)


def keep_back(read_indices: Iterable[int], unusable: Collection[tuple[str, int]], facts: Facts) -> Held | None:
    """None: the request may be sent. ``unusable``: (call id, read index) that its holder has judged; those keep nothing back."""
    held = Held([], [], [])
    for index in read_indices:
        if index in facts.done:
            held.done.append(index)
        elif index in facts.unsaved:
            held.unsaved.append(index)
        else:
            open_answers = (name for name, answer in facts.answers.items() if index in answer.read_indices and index not in answer.unusable)
            held.answers.extend((index, name) for name in open_answers if (name, index) not in unusable)
    return held if any(held) else None


def is_needed(read_indices: Iterable[int], done: Collection[int]) -> bool:
    """Whether an answer is to be kept, or put back on record after its holder died: one of its reads has no row."""
    return any(index not in done for index in read_indices)
