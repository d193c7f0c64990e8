"""What actors report, with nothing in it but what a test names."""

from dataclasses import MISSING, Field, fields
from decimal import Decimal
from typing import Any, TypeVar

from helix_ray.metrics.reports import AnalyzerReport, ControlReport, ProcessReport, ProducerReport, Report, SinkReport
from helix_ray.queueing.messages import QueueStats
from helix_ray.throttle.messages import ThrottleStats

R = TypeVar("R", bound=Any)

REPORTS: dict[str, type[Report]] = {
    "queue": QueueStats,
    "throttle": ThrottleStats,
    "sink": SinkReport,
    "control": ControlReport,
    "producer": ProducerReport,
    "analyzer": AnalyzerReport,
}
_EMPTY = {"int": 0, "float": 0.0, "bool": False, "str": "", "Decimal": Decimal(0)}  # else one of a set of words


def empty_report(kind: type[R], **values: Any) -> R:
    """Zero, nothing and not known, but for ``values``."""
    absent = {item.name: _empty(item) for item in fields(kind) if item.default is item.default_factory is MISSING}
    made: R = kind(**{**absent, **values})
    return made


def process_report(**values: Any) -> ProcessReport:
    made: ProcessReport = empty_report(ProcessReport, **values)
    return made


def _empty(item: Field[Any]) -> Any:
    declared = str(item.type)
    if "None" in declared:
        return None
    if declared.startswith("tuple"):
        return ()
    return {} if declared.startswith(("dict", "Mapping")) else _EMPTY.get(declared, "")
