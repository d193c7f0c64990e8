"""How right the model was, as JSON values: the report's accuracy, ceiling and scoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from helix_ray.results.schema import ByType, Confidence, Cost, ReadsScored, Scoring
from helix_ray.scoring.clusters import FEW, ReadProfile, Spreads, spread, spreads
from helix_ray.scoring.proximity import REACH, mistake_rates
from helix_ray.scoring.score import SCORER_VERSION
from helix_ray.scoring.scores import NO_ANSWER, RunScores
from helix_ray.scoring.scores import NOTHING as NOTHING_THERE
from helix_ray.scoring.statistics import average_precision, calibration, curve, matthews, mcnemar
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.scoring.summary import ALL, Measures, measures, rate, summarise, total
from helix_ray.scoring.tally import Counts, ReadCounts

TRUTH_ONLY = ("event",)  # dimensions that the truth alone has

METHOD = "haplotype-aware allele match, genotype not required (GA4GH method 2)"

NOTHING = measures(Counts())  # the measures of a type that one side alone has


class Compared(NamedTuple):
    """A type of variants: the model's measures, and beside them the aligner's on the same reads."""

    kind: str
    model: Measures[int]
    ceiling: Measures[int]


class Crossed(NamedTuple):
    called: list[str]
    rows: list[tuple[str, list[int]]]  # by what was there, a count for each of ``called``


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model was asked to do."""

    prompt: str | None  # None: no model was asked
    prompt_sha256: str | None
    task: str | None  # unassisted | assisted: the aligner's alignment was in the prompt
    examples: int = 0
    reads_per_request: int = 1
    work: bool = False


@dataclass(frozen=True, slots=True)
class Effort:
    """What answers and scores took. None: not known, as after a crash."""

    cost_usd: float
    tokens: int
    answered_ms: float  # the latencies of all answered requests together
    latency_ms_p50: float | None
    baseline_us_per_read: float | None  # CPU time of the aligner
    scoring_us_per_read: float | None  # CPU time of judging and scoring
    scoring_share: float | None  # of the analyzers' CPU time, aligner included


def accuracy(scores: RunScores) -> ByType:
    """By type and ``ALL``: counts, precision, recall, F1 and their intervals."""
    return summarise(scores.model.by("type"), {level: spreads(profiles) for level, profiles in scores.profiles.items()})


def all_differences(scores: RunScores) -> ByType | None:
    """As accuracy, with sequencing errors as truths beside the mutations; None of reads without any."""
    counts = scores.all_differences.by("type")
    mutations, shown = total(scores.model.by("type")), total(counts)
    if mutations.tp + mutations.fn == shown.tp + shown.fn:
        return None
    return summarise(counts, {level: spreads(profiles) for level, profiles in scores.profiles_of_all.items()})


def ceiling(scores: RunScores) -> ByType:
    """As accuracy, of the aligner's calls, as if they came one by one."""
    return summarise(scores.ceiling.by("type"))


def compared(model: ByType, beside: ByType | None) -> list[Compared]:
    """Every type that either side has, and `ALL` last."""
    ceilings = beside or {}
    return [Compared(kind, model.get(kind, NOTHING), ceilings.get(kind, NOTHING)) for kind in [*sorted({*model, *ceilings} - {ALL}), ALL]]


def scoring(scores: RunScores, asked: Asked, effort: Effort) -> Scoring:
    """The report's key ``scoring``."""
    by, reads = scores.model.by, scores.reads
    counts = total(by("type"))
    whole = spreads(scores.profiles.get(ALL, {}))
    failed = reads.reads - reads.answered
    return {
        "method": METHOD,
        "scorer": SCORER_VERSION,
        "task": asked.task,
        "prompt": asked.prompt,
        "prompt_sha256": asked.prompt_sha256,
        "examples": asked.examples,
        "reads_per_request": asked.reads_per_request,
        "work": asked.work,
        "failed": {"reads": failed, "truths": counts.fn_failed, "frac_na": failed / reads.reads if reads.reads else None},
        "by": {name: {level: _known(name, row, whole) for level, row in _in_order(by(name))} for name in DIMENSIONS if name != "type"},
        "reads": _reads(reads, scores.read_profiles),
        "uncertainty": {
            "cluster": "request" if asked.reads_per_request > 1 else "read",
            "clusters": sum(scores.read_profiles.values()),
            "few": sum(scores.read_profiles.values()) < FEW,
            "design_effect": spread((it.exact, it.reads, times) for it, times in scores.read_profiles.items()).effect,
        },
        "mistakes": mistake_rates(counts, reads.invented, reads.answered, reads.renumbered),
        "off_by": {str(offset): scores.off_by[offset] for offset in range(-REACH, REACH + 1)},
        "confusion": confusion(scores),
        "outcomes": dict(sorted(scores.outcomes.items())),
        "leniency": dict(sorted(scores.leniency.items())),
        "confidence": _confidence(scores, counts),
        "cost": _cost(effort, counts),
    }


def _in_order(levels: Mapping[str, Counts]) -> list[tuple[str, Counts]]:
    """By the number with which a level begins, where it does: 5-6 stands before 11+."""
    return sorted(
        levels.items(),
        key=lambda item: (int(item[0].split("-")[0].rstrip("+")) if item[0][:1].isdigit() and "." not in item[0] else 0, item[0]),
    )


def _known(dimension: str, counts: Counts, spreads: Spreads) -> Measures[int | None]:
    """Measures of a level, as widely spread as those of all variants. A call has no event: there no precision is known, and so no F1."""
    row: Measures[int | None] = {**measures(counts, spreads)}
    if dimension in TRUTH_ONLY:
        row["query_tp"] = row["fp"] = row["fp_error"] = row["fp_allele"] = row["fp_near"] = row["fp_invalid"] = None
        for some in (row, row["excluding_failed"]):
            some["precision"] = some["f1"] = some["ci"]["precision"] = some["ci"]["f1"] = None
    return row


def _reads(reads: ReadCounts, profiles: Mapping[ReadProfile, int]) -> ReadsScored:
    """Reads as a whole. Clean reads make true negatives, so that sensitivity and specificity mean something here."""
    tp, fp, fn, tn = reads.true_positive, reads.false_positive, reads.false_negative, reads.true_negative
    only_model, only_baseline = reads.exact - reads.both_exact, reads.baseline_exact - reads.both_exact
    return {
        "reads": reads.reads,
        "answered": reads.answered,
        "exact": rate(reads.exact, reads.reads, spread((it.exact, it.reads, times) for it, times in profiles.items())),
        "exact_answered": rate(reads.exact, reads.answered, spread((it.exact, it.answered, times) for it, times in profiles.items())),
        "described": rate(reads.described, reads.reads, spread((it.described, it.reads, times) for it, times in profiles.items())),
        "baseline_exact": rate(reads.baseline_exact, reads.reads),
        "mcnemar": {"only_model": only_model, "only_baseline": only_baseline, "p": mcnemar(only_model, only_baseline)},
        "true_positive": tp,
        "false_positive": fp,
        "false_negative": fn,
        "true_negative": tn,
        "sensitivity": rate(tp, tp + fn),
        "specificity": rate(tn, tn + fp),
        "mcc": matthews(tp, fp, fn, tn),
        "residual_edits_per_truth_edit": reads.residual_edits / reads.truth_edits if reads.truth_edits else None,
        "capped": reads.capped,
    }


def confusion(scores: RunScores) -> dict[str, dict[str, int]]:
    """What stood there (``nothing``: an invented call) by what was called (``nothing``: missed, ``no answer``)."""
    table: dict[str, dict[str, int]] = {}
    for (truth, called), count in sorted(scores.confusion.items()):
        table.setdefault(truth, {})[called] = count
    return table


def crossed(counts: Mapping[str, Mapping[str, int]]) -> Crossed:
    """A confusion as a table: types by name, then what was missed or not answered, and last what was called where nothing is."""
    ends = [NOTHING_THERE, NO_ANSWER]
    called = [*sorted({name for row in counts.values() for name in row} - {*ends}), *ends]
    truths = [*sorted(counts.keys() - {NOTHING_THERE}), *(counts.keys() & {NOTHING_THERE})]
    return Crossed(called, [(truth, [counts[truth].get(name, 0) for name in called]) for truth in truths])


def _confidence(scores: RunScores, counts: Counts) -> Confidence:
    known = {sure: outcome for sure, outcome in scores.confidence.items() if sure is not None}
    truths = counts.tp + counts.fn
    return {
        "calls_without": sum(sum(outcome) for sure, outcome in scores.confidence.items() if sure is None),
        "average_precision": average_precision(known, truths),
        "calibration": calibration(known),
        "curve": curve(known, truths),
    }


def _cost(effort: Effort, counts: Counts) -> Cost:
    found = counts.tp
    return {
        "usd_per_true_positive": effort.cost_usd / found if found else None,
        "tokens_per_true_positive": effort.tokens / found if found else None,
        "latency_ms_per_true_positive": effort.answered_ms / found if found else None,
        "latency_ms_p50": effort.latency_ms_p50,
        "baseline_us_per_read": effort.baseline_us_per_read,
        "scoring_us_per_read": effort.scoring_us_per_read,
        "scoring_share_of_analyzer_cpu": effort.scoring_share,
    }
