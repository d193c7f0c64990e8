import random
from collections import Counter
from dataclasses import asdict, replace

from helix_ray.records import Disposition, ScoredVariant
from helix_ray.scoring.scores import RunScores, Scores
from helix_ray.scoring.strata import DIMENSIONS, place_levels, read_levels, subtype, variant_levels
from helix_ray.scoring.summary import total
from helix_ray.scoring.tally import Counts, fields_of, fields_of_all
from support.scored_results import comparable
from support.scripted_results import scripted_results


def row(side: str, match: str | None, detail: str | None = None, outcome: str | None = "ok", **more: object) -> ScoredVariant:
    made = ScoredVariant(side, 10, "A", "G", "SNV", "snv" if side == "truth" else None, 0.9, outcome, match, None, detail)
    return made._replace(**more)  # type: ignore[arg-type]


def test_what_each_row_counts_as() -> None:
    assert fields_of(row("truth", "TP", "allele", baseline="FN")) == ("tp",)
    assert fields_of(row("truth", "FN", "missed")) == ("fn",)
    assert fields_of(row("truth", "FN", "near")) == ("fn", "fn_near")
    assert fields_of(row("truth", "FN", "failed")) == ("fn", "fn_failed")
    assert fields_of(row("call", "TP", "haplotype")) == (), "it counts as the truth that it tells"
    assert fields_of(row("call", "FP", "error")) == ("fp", "fp_error")
    assert fields_of(row("call", "FP", "near", "ref_mismatch")) == ("fp", "fp_near", "fp_invalid")
    assert fields_of(row("call", "FP", "invented", "bad_base")) == ("fp", "fp_invalid")
    assert fields_of(row("call", None, None, "duplicate")) == ()
    assert fields_of(row("baseline", "FP", "error")) == ()
    assert fields_of(row("baseline", "FP", "error"), "baseline") == ("fp", "fp_error")
    assert fields_of(row("truth", "TP", "allele", baseline="FN"), "baseline") == ("fn",)
    assert fields_of(row("truth", "TP", "allele"), "baseline") == (), "the aligner was not asked"
    assert fields_of_all(row("truth", "TP", "allele")) == ("tp",), "a read without sequencing errors"
    assert fields_of_all(row("call", "FP", "error", all_match="TP")) == ()
    assert fields_of_all(row("call", "FP", "near", "overlap", all_match="FP")) == ("fp",)
    assert fields_of_all(row("error", None, None, None, all_match="TP")) == ("tp",)
    assert fields_of_all(row("error", None, "failed", None, all_match="FN")) == ("fn", "fn_failed")


def test_levels() -> None:
    assert [subtype(*variant) for variant in (("SNV", "A", "G"), ("SNV", "A", "T"), ("SNV", "CA", "CG"), ("MNV", "AC", "GT"))] == [
        "ti",
        "tv",
        "ti",
        "MNV",
    ]
    indels = (("INS", "A", "ACCCCC"), ("INS", "A", "A" * 7), ("DEL", "A" * 17, "A"), ("DELINS", "ACGTACG", "TT"), (None, "-", ""))
    assert [subtype(*variant) for variant in indels] == ["I1_5", "I6_15", "D16_PLUS", "C6_15", "INVALID"]
    third = [dict(variant_levels(row("call", "FP")._replace(pos=pos), "A" * 150))["third"] for pos in (0, 1, 50, 51, 100, 101, 150, 151)]
    assert third == ["outside", "1", "1", "2", "2", "3", "3", "outside"]
    read = scripted_results(1)[0].read
    assert dict(read_levels(read)) == {"n_truth": str(len(read.truth or ())), "length": "76-150", "identifiable": "yes"}
    assert dict(read_levels(read._replace(identifiable=None)))["identifiable"] == "unknown"


def test_the_levels_of_a_place_are_those_around_it() -> None:
    window = "ACGTTGCA" * 10 + "A" * 8 + "GC" * 40 + "CACACACACAC" + "ACGTTGCA" * 2

    def at(pos: int, ref: str = "A", alt: str = "T") -> tuple[str, ...]:
        return tuple(level for _, level in place_levels(pos, ref, alt, window))

    assert at(20) == ("0.5-0.6", "1-4", "no")
    assert at(85) == ("0.6-0.7", "7-10", "yes")
    assert at(80, "A", "AA")[1] == "7-10", "an insertion beside the run, which the window's base before it lengthens"
    assert (at(75)[2], at(74)[2]) == ("yes", "no"), "five bases beside it"
    assert at(120)[2] == "yes", "a repeat of two bases"
    assert at(1)[0] == "0.5-0.6"
    assert at(0) == at(len(window) + 1) == ("outside", "outside", "outside")


def test_the_levels_of_every_dimension_add_up_to_the_same_totals() -> None:
    scores = Scores()
    for result in scripted_results():
        scores.add(result)
    totals = {dimension: total(scores.model.by(dimension)) for dimension in DIMENSIONS}
    of_type = totals["type"]
    assert of_type.fp > 50
    assert of_type.fn_failed > 20
    for dimension in set(DIMENSIONS) - {"event"}:
        assert totals[dimension] == of_type, dimension
    truths_only = Counts(*(value if name.startswith(("tp", "fn")) else 0 for name, value in of_type._asdict().items()))
    assert totals["event"] == truths_only


def sums(scores: Scores) -> Counter[tuple[object, ...]]:
    """Every sum by its name."""
    named: Counter[tuple[object, ...]] = Counter()
    for name, tally in (("score", scores.model), ("ceiling", scores.ceiling)):
        for level, counts in tally.as_dict().items():
            named.update({(name, level, field): count for field, count in counts._asdict().items() if count})
    named.update({("reads", key): count for key, count in asdict(scores.reads).items() if count})
    named.update({("off_by", offset): count for offset, count in scores.off_by.items()})
    return named


def test_workers_add_up_in_any_order() -> None:
    results = scripted_results(preset="human")
    whole, left, right = Scores(), Scores(), Scores()
    for result in results:
        whole.add(result)
        (left if result.read.read_index % 3 else right).add(result)
    levels = right.model.as_dict() | left.model.as_dict()
    assert {level: right.model.get(level).plus(left.model.get(level)) for level in sorted(levels)} == whole.model.as_dict()
    assert sums(left) + sums(right) == sums(whole)


def test_reads_as_a_whole() -> None:
    scores = Scores()
    results = scripted_results()
    for result in results:
        scores.add(result)
    reads = replace(scores.reads)
    assert reads.reads == 500
    assert reads.answered == 450
    clean_without_answer = sum(result.disposition is Disposition.DEAD_LETTER and not result.read.truth for result in results)
    assert clean_without_answer > 0
    counted = reads.true_positive + reads.false_positive + reads.true_negative + reads.false_negative
    assert counted == 500 - clean_without_answer, "nobody said that these are clean"
    assert reads.false_negative >= sum(result.disposition is Disposition.DEAD_LETTER and bool(result.read.truth) for result in results)
    assert reads.baseline_exact == 500
    assert reads.both_exact == reads.exact < 450
    assert 0 < reads.invented < 450
    assert reads.truth_edits > reads.residual_edits > 0
    clean = replace(results[1], read=results[1].read._replace(truth=None))
    assert sums(Scores()) == {}
    scores.add(clean)
    assert scores.reads == reads, "without truth nothing is counted"


def test_a_runs_profiles_and_confidences_hold_every_counted_row() -> None:
    scores = RunScores()
    results = scripted_results()
    for result in results:
        scores.add(result)
    overall = total(scores.model.by("type"))
    profiles = scores.profiles["ALL"]
    assert sum(profile.tp * count for profile, count in profiles.items()) == overall.tp
    assert sum(profile.fp * count for profile, count in profiles.items()) == overall.fp
    assert sum(outcome.right for outcome in scores.confidence.values()) == overall.tp
    assert sum(outcome.wrong for outcome in scores.confidence.values()) == overall.fp
    assert sum(scores.outcomes.values()) == sum(item.side == "call" for result in results for item in result.variants)
    shuffled = RunScores()
    for result in random.Random(1).sample(results, len(results)):
        shuffled.add(result)
    assert comparable(shuffled) == comparable(scores)
