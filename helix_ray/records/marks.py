"""What a restart does to a number that an actor reports: every numeric field of a report is declared with one of these marks.

``field(metadata=COUNTER)`` of a number, or of a mapping from names to numbers. No mark: the latest value counts, as of a gauge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    COUNTER = "counter"  # absolute since the actor's start; those of its incarnations add up
    MAXIMUM = "maximum"  # the highest ever
    GAUGE = "gauge"  # the latest; None: not known


COUNTER: Mapping[str, object] = {"kind": Kind.COUNTER}
MAXIMUM: Mapping[str, object] = {"kind": Kind.MAXIMUM}
GAUGE: Mapping[str, object] = {"kind": Kind.GAUGE}


def kind_of(field: Field[Any]) -> Kind | None:
    """None: the field holds no number of its own."""
    kind: Kind | None = field.metadata.get("kind")
    return kind
