"""The report: its content, and that it has the keys and types that its type declares, all the way down."""

import io
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from rich.console import Console

from helix_ray.records import RunStatus
from helix_ray.results import schema
from helix_ray.results.accuracy import Asked, Effort, accuracy, ceiling, scoring
from helix_ray.results.formatting import NOTICE
from helix_ray.results.report import build_report
from helix_ray.results.table import render_report
from helix_ray.scoring import statistics, summary
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.summary import summarise
from helix_ray.scoring.tally import Counts
from helix_ray.storage.ledger import Agreement
from support.report_values import admission, session, stored
from support.scripted_results import scripted_results


def text(report: dict[str, object]) -> str:
    out = io.StringIO()
    Console(width=120, file=out).print(render_report(report))
    return out.getvalue()


def test_a_complete_run_loses_what_was_requested_and_has_no_row() -> None:
    assert build_report(session(), admission(), stored(100))["lost"] == 0
    assert build_report(session(), admission(), stored(97))["lost"] == 3


def test_a_stopped_run_loses_what_was_admitted_and_neither_stored_nor_handed_back() -> None:
    stopped = session(status=RunStatus.STOPPED, rows_before=40, rows_at_open=40)
    assert build_report(stopped, admission(50, handed_back=20), stored(70))["lost"] == 0
    assert build_report(stopped, admission(50, handed_back=20), stored(69))["lost"] == 1


def test_every_key_of_the_contract_is_there() -> None:
    counts = {"requested", "produced", "stored", "unplaced", "filtered", "malformed", "repaid", "per_s"}
    sums = {"lost", "duplicates", "dead_letters", "conflicts_suppressed", "possibly_billed", "requests", "http_429", "utilisation"}
    peaks = {"max_queue_depth", "max_redelivered", "max_leased", "max_held", "blocked_seconds", "peak_pss_mb", "latency_ms"}
    rest = {"run_id", "status", "backend", "simulated", "duration_s", "bottleneck", "tokens", "cost_usd", "cost_per_1000_reads"}
    contract = (
        {f"reads_{count}" for count in counts}
        | sums
        | peaks
        | rest
        | {"accuracy", "agreement", "resume_command"}
        | {"ceiling", "scoring", "truth_reads", "identifiable_reads"}
    )
    assert contract <= build_report(session(), admission(), stored()).keys()


def test_what_the_run_waited_for_is_told_in_shares() -> None:
    looks = {"none": 30, "tokens": 60, "producer": 10}
    report = build_report(session(bottlenecks=looks), admission(), stored())
    assert report["bottleneck"] == "tokens"
    assert list(report["bottleneck_shares"].items()) == [("tokens", 0.6), ("none", 0.3), ("producer", 0.1)]
    assert "tokens 60 %, none 30 %, producer 10 %" in text(report)
    nothing = build_report(session(bottlenecks={"none": 5}), admission(), stored())
    assert (nothing["bottleneck"], nothing["bottleneck_shares"]) == (None, {"none": 1.0})
    unseen = build_report(session(), admission(), stored())
    assert (unseen["bottleneck"], unseen["bottleneck_shares"]) == (None, {})


def test_failures_retries_tiers_and_what_was_put_on_record() -> None:
    counted = replace(stored(), resent=5, failures={"overloaded": 4, "transport": 2}, reads_by_tier={"flex": 90, "on_demand": 10})
    report = build_report(session(authorised_usd=Decimal("0.25")), admission(), counted)
    assert (report["failures_by_kind"], report["resent"], report["resent_share"]) == ({"overloaded": 4, "transport": 2}, 5, 0.05)
    assert (report["reads_by_tier"], report["authorised_usd"]) == ({"flex": 90, "on_demand": 10}, 0.25)
    shown = text(report)
    for words in ("API over capacity (503) 4", "no connection, lost or late 2", "5 (5.0 % of all)", "flex 90, on_demand 10", "$0.250000"):
        assert words in shown, words
    quiet = text(build_report(session(), admission(), replace(stored(), reads_by_tier={"on_demand": 100})))
    assert not [words for words in ("sent again", "service tier", "on record") if words in quiet]


def test_what_is_not_analysed_is_told_by_reason() -> None:
    counted = replace(stored(9, stored=1, unplaced=5, filtered=3), left_out={"no_hit": 4, "repeated": 3, "too_short": 1})
    report = build_report(session(), admission(), counted)
    assert report["left_out"] == {"no_hit": 4, "repeated": 3, "too_short": 1}
    for words in ("4 with no place on the reference", "3 with another place as good", "1 too short: reads can be placed from 25 bases on"):
        assert words in text(report), words


def test_without_the_database_its_terms_are_null_and_the_table_says_so() -> None:
    report = build_report(session(status=RunStatus.FAILED), admission(), None)
    nulls = ("reads_stored", "dead_letters", "lost", "duplicates", "requests", "cost_usd", "tokens", "truth_reads", "identifiable_reads")
    nulls += ("failures_by_kind", "resent", "resent_share", "reads_by_tier")
    for key in nulls:
        assert report[key] is None, key
    assert "the database could not be asked" in text(report)


def test_cost_is_per_thousand_stored_reads() -> None:
    assert build_report(session(), admission(), stored(50, stored=25, filtered=25))["cost_per_1000_reads"] == 0.5
    assert build_report(session(), admission(), stored(5, dead_letter=5))["cost_per_1000_reads"] is None


def test_the_table_names_the_emulator_and_every_other_ending() -> None:
    accuracy = {
        "SNV": {
            "tp": 1,
            "query_tp": 1,
            "fp": 0,
            "fn": 1,
            "precision": 1.0,
            "recall": 0.5,
            "f1": 0.667,
            "ci": {"precision": [0.4, 1.0], "recall": None, "f1": None},
        }
    }
    shown = text(build_report(session(accuracy=accuracy), admission(), stored(50, stored=25, filtered=25)))
    assert NOTICE in shown
    assert "[EMULATOR]" in shown
    assert "unplaced / filtered / malformed" in shown
    assert "0.500" in shown


def test_the_ceiling_stands_beside_the_model_in_every_type_that_either_has() -> None:
    accuracy, ceiling = (
        summarise({"SNV": Counts(tp=1, fn=1)}),
        summarise({"SNV": Counts(tp=2), "DELINS": Counts(fp=1)}),
    )
    report = build_report(session(accuracy=accuracy, ceiling=ceiling), admission(), stored(50))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text(report).splitlines() if line.startswith("│")]
    assert [row for row in rows if len(row) == 7] == [
        ["DELINS", "0 / 0", "0 / 0", "–", "–", "–", "–"],
        ["SNV", "1 / 2", "1 / 1", "0.500", "1.000", "0.667", "1.000"],
        ["", "", "", "[0.061, 0.939]", "[0.147, 1.000]", "[0.115, 0.969]", ""],
        ["ALL", "1 / 2", "1 / 1", "0.500", "1.000", "0.667", "0.800"],
        ["", "", "", "[0.061, 0.939]", "[0.147, 1.000]", "[0.115, 0.969]", ""],
    ]
    assert "identifiable reads: 45 of 50 (90.0 %)" in text(report)
    assert report["ceiling"]["ALL"]["tp"] == 2


def test_without_truth_there_is_agreement_with_the_aligner() -> None:
    agreement = Agreement(reads=4, reads_equal=3, both=5, only_call=1, only_baseline=0)
    shown = text(build_report(session(agreement=agreement), admission(), stored(4)))
    assert "Agreement with the aligner (no truth is known)" in shown
    assert "3 of 4 (75.0 %)" in shown


DECLARED = {value for module in (schema, statistics, summary) for value in vars(module).values() if is_typeddict(value)}


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
