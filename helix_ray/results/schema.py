# ruff: noqa: UP013 (a small table is read at a glance in one line)
"""The report of a run as JSON. Keys and their order are a contract, and docs/output.md describes each of them.

None stands for what is not known, or has no meaning in that run: no database, no truth, nothing to divide by.
"""

from __future__ import annotations

from typing import Generic, Literal, TypedDict, TypeVar

from helix_ray.records import JsonObject

Called = TypeVar("Called")
Measure = Literal["recall", "precision", "f1"]
Interval = list[float] | None  # low and high end, 95 %

Intervals = TypedDict("Intervals", {"precision": Interval, "recall": Interval, "f1": Interval})
RecallInterval = TypedDict("RecallInterval", {"recall": Interval})
WithoutFailed = TypedDict("WithoutFailed", {"recall": float | None, "f1": float | None, "ci": RecallInterval})
Rate = TypedDict("Rate", {"count": int, "of": int, "rate": float | None, "ci": Interval})
McNemar = TypedDict("McNemar", {"only_model": int, "only_baseline": int, "p": float})
Failed = TypedDict("Failed", {"reads": int, "truths": int, "frac_na": float | None})
Point = TypedDict("Point", {"confidence": float, "precision": float, "recall": float})
Bin = TypedDict("Bin", {"from": float, "to": float, "calls": int, "confidence": float, "right": float})
Calibration = TypedDict("Calibration", {"ece": float, "bins": list[Bin]})
Tokens = TypedDict("Tokens", {"prompt": int, "cached": int, "completion": int})
Confidence = TypedDict(
    "Confidence", {"calls_without": int, "average_precision": float | None, "calibration": Calibration | None, "curve": list[Point]}
)
Cost = TypedDict(
    "Cost",
    {
        "usd_per_true_positive": float | None, "tokens_per_true_positive": float | None, "latency_ms_per_true_positive": float | None,
        "latency_ms_p50": float | None, "baseline_us_per_read": float | None, "scoring_us_per_read": float | None,
        "scoring_share_of_analyzer_cpu": float | None,
    },
)  # fmt: skip
Agreement = TypedDict("Agreement", {"reads": int, "reads_equal": int, "both": int, "only_call": int, "only_baseline": int})


class Measures(TypedDict, Generic[Called]):
    """`scoring.tally.Counts` and what follows from them. ``Called``: int, or int | None where only truths have the dimension."""

    tp: int
    fn: int
    fn_allele: int
    fn_near: int
    fn_failed: int
    query_tp: Called
    fp: Called
    fp_error: Called
    fp_allele: Called
    fp_near: Called
    fp_invalid: Called
    precision: float | None
    recall: float | None
    f1: float | None
    ci: Intervals
    excluding_failed: WithoutFailed


ByType = dict[str, Measures[int]]


class ReadsScored(TypedDict):
    """Reads with known truth as a whole."""

    reads: int
    answered: int
    exact: Rate
    baseline_exact: Rate
    mcnemar: McNemar
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    sensitivity: Rate
    specificity: Rate
    mcc: float | None
    residual_edits_per_truth_edit: float | None
    capped: int


class Scoring(TypedDict):
    method: str
    scorer: str
    task: str | None
    prompt: str | None
    prompt_sha256: str | None
    examples: int
    reads_per_request: int
    work: bool
    failed: Failed
    by: dict[str, dict[str, Measures[int | None]]]  # dimension, level
    reads: ReadsScored
    mistakes: dict[str, Rate]  # keys of `scoring.mistakes.MISTAKES`
    off_by: dict[str, int]
    confusion: dict[str, dict[str, int]]  # what was there, what was called
    outcomes: dict[str, int]
    leniency: dict[str, int]
    confidence: Confidence
    cost: Cost


class Report(TypedDict):
    run_id: str
    status: str
    reason: str
    backend: str
    model: str | None
    simulated: bool
    notice: str | None
    reads_requested: int | None
    reads_produced: int
    reads_stored: int | None
    dead_letters: int | None
    reads_unplaced: int | None
    reads_filtered: int | None
    reads_malformed: int | None
    dead_letters_by_kind: dict[str, int] | None
    reads_handed_back: int
    lost: int | None
    duplicates: int | None
    conflicts_suppressed: int
    reads_repaid: int | None
    possibly_billed: int | None
    duration_s: float
    reads_per_s: float | None
    requests: int | None
    repairs: int | None
    http_429: int | None
    failures_by_kind: dict[str, int] | None
    resent: int | None
    resent_share: float | None
    reads_by_tier: dict[str, int] | None
    utilisation: dict[str, float]
    bottleneck: str | None
    bottleneck_shares: dict[str, float]
    tokens: Tokens | None
    cost_usd: float | None
    authorised_usd: float | None
    cost_per_1000_reads: float | None
    queue_capacity: int
    max_queue_depth: int
    max_redelivered: int
    max_leased: int
    max_held: int
    blocked_seconds: float
    peak_pss_mb: float
    latency_ms: dict[str, float | None] | None  # p50, p95, p99
    accuracy: ByType | None
    ceiling: ByType | None
    agreement: Agreement | None
    scoring: Scoring | None
    truth_reads: int | None
    identifiable_reads: int | None
    resume_command: str | None
    configuration: JsonObject | None
