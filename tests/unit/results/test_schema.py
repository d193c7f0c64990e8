"""A built report has the keys that its type declares, in their order, and values of their types, all the way down."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from helix_ray.results import schema
from helix_ray.results.accuracy import Asked, Effort, accuracy, ceiling, scoring
from helix_ray.results.report import build_report
from helix_ray.scoring.scores import RunScores
from helix_ray.storage.ledger import Agreement
from support.report_values import admission, session, stored
from support.scripted_results import scripted_results

DECLARED = {value for value in vars(schema).values() if is_typeddict(value)}


def full_report() -> schema.Report:
    scores = RunScores()
    for result in scripted_results(300):
        scores.add(result)
    told = scoring(scores, Asked("indexed10", "ab" * 32, "unassisted"), Effort(0.5, 1000, 90_000.0, 250.0, 20.0, 60.0, 0.03))
    agreement = Agreement(reads=4, reads_equal=3, both=5, only_call=1, only_baseline=0)
    made = session(
        accuracy=accuracy(scores), ceiling=ceiling(scores), scoring=told, agreement=agreement, model="m", authorised_usd=Decimal(1)
    )
    return build_report(made, admission(300), stored(300))


def differences(value: Any, hint: Any, where: str, seen: set[Any]) -> Iterator[str]:
    """Where a JSON value is not what its declaration says; ``seen`` gathers the declared types that occurred."""
    kind, args = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        (other,) = set(args) - {NoneType}
        yield from () if value is None else differences(value, other, where, seen)
    elif is_typeddict(kind):
        seen.add(kind)
        hints = {key: args[0] if isinstance(of, TypeVar) else of for key, of in get_type_hints(kind).items()}
        if list(value) != list(hints):
            yield f"{where}: built {list(value)}, declared {list(hints)}"
        for key in value.keys() & hints.keys():
            yield from differences(value[key], hints[key], f"{where}.{key}", seen)
    elif kind is dict:
        for key, inner in value.items():
            yield from differences(inner, args[1] if args else Any, f"{where}.{key}", seen)
    elif kind is list:
        for inner in value:
            yield from differences(inner, args[0], f"{where}[]", seen)
    elif kind is not Any and not isinstance(value, (int, float) if kind is float else kind):
        yield f"{where}: {value!r} is no {kind.__name__}"


def test_every_key_that_is_built_is_declared_and_every_declared_one_is_built() -> None:
    seen: set[Any] = set()
    assert list(differences(full_report(), schema.Report, "report", seen)) == []
    assert seen == DECLARED, "each type occurs in a full report"


def test_without_the_database_and_the_queue_the_keys_are_the_same() -> None:
    assert list(differences(build_report(session(), None, None), schema.Report, "report", set())) == []


def test_a_key_too_few_and_a_key_too_many_are_found() -> None:
    found: Any = full_report()
    del found["scoring"]["by"]["n_truth"]["1"]["query_tp"]
    found["tokens"]["new"] = 1
    places = [each.split(": built")[0] for each in differences(found, schema.Report, "report", set())]
    assert sorted(places) == ["report.scoring.by.n_truth.1", "report.tokens"]
