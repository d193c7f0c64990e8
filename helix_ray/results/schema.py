# ruff: noqa: UP013 (tables: related keys stand in one line)
"""The report of a run as JSON. Keys and their order are a contract, and docs/output.md describes each of them.

None stands for what is not known, or has no meaning in that run: no database, no truth, nothing to divide by.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from helix_ray.records import JsonObject
from helix_ray.scoring.statistics import Calibration, Point
from helix_ray.scoring.summary import Measures, Number, Rate
from helix_ray.storage.ledger import Agreement

Measure = Literal["recall", "precision", "f1"]
MEASURES: tuple[Measure, ...] = ("recall", "precision", "f1")
Count = int | None
NamedCounts = dict[str, int]

McNemar = TypedDict("McNemar", {"only_model": int, "only_baseline": int, "p": float})
Failed = TypedDict("Failed", {"reads": int, "truths": int, "frac_na": Number})
Uncertainty = TypedDict("Uncertainty", {"cluster": str, "clusters": int, "few": bool, "design_effect": float})
Tokens = TypedDict("Tokens", {"prompt": int, "cached": int, "completion": int})
ByType = dict[str, Measures[int]]

# fmt: off
ReadsScored = TypedDict("ReadsScored", {
    "reads": int, "answered": int, "exact": Rate, "exact_answered": Rate, "described": Rate, "baseline_exact": Rate, "mcnemar": McNemar,
    "true_positive": int, "false_positive": int, "false_negative": int, "true_negative": int,
    "sensitivity": Rate, "specificity": Rate, "mcc": Number, "residual_edits_per_truth_edit": Number, "capped": int,
})
Confidence = TypedDict("Confidence", {
    "calls_without": int, "average_precision": Number, "calibration": Calibration | None, "curve": list[Point],
})
Cost = TypedDict("Cost", {
    "usd_per_true_positive": Number, "tokens_per_true_positive": Number, "latency_ms_per_true_positive": Number,
    "latency_ms_p50": Number, "baseline_us_per_read": Number, "scoring_us_per_read": Number, "scoring_share_of_analyzer_cpu": Number,
})
Scoring = TypedDict("Scoring", {
    "method": str, "scorer": str, "task": str | None, "prompt": str | None, "prompt_sha256": str | None,
    "examples": int, "reads_per_request": int, "work": bool,
    "failed": Failed,
    "by": dict[str, dict[str, Measures[int | None]]],  # dimension, level
    "reads": ReadsScored,
    "uncertainty": Uncertainty,  # design_effect: of exact reads
    "mistakes": dict[str, Rate],  # keys of `scoring.proximity.MISTAKES`
    "off_by": NamedCounts,
    "confusion": dict[str, NamedCounts],  # what was there, what was called
    "outcomes": NamedCounts, "leniency": NamedCounts,
    "confidence": Confidence,
    "cost": Cost,
})
Report = TypedDict("Report", {
    "run_id": str, "status": str, "reason": str, "backend": str, "provider": str | None, "model": str | None,
    "simulated": bool, "notice": str | None,
    "reads_requested": Count, "reads_produced": int, "reads_stored": Count, "dead_letters": Count,
    "reads_unplaced": Count, "reads_filtered": Count, "reads_malformed": Count,
    "left_out": NamedCounts | None,
    "dead_letters_by_kind": NamedCounts | None, "reads_handed_back": int,
    "lost": Count, "duplicates": Count, "conflicts_suppressed": int, "reads_repaid": Count, "possibly_billed": Count,
    "reads_possibly_repaid": Count, "possibly_billed_usd": Number,
    "duration_s": float, "reads_per_s": Number,
    "requests": Count, "repairs": Count, "http_429": Count, "failures_by_kind": NamedCounts | None,
    "truncated": Count, "truncated_share": Number, "resent": Count, "resent_share": Number, "reads_by_tier": NamedCounts | None,
    "utilisation": dict[str, float], "bottleneck": str | None, "bottleneck_shares": dict[str, float],
    "tokens": Tokens | None, "cost_usd": Number, "usage_estimated": Count, "authorised_usd": Number, "cost_per_1000_reads": Number,
    "queue_capacity": int, "max_queue_depth": int, "max_redelivered": int, "max_leased": int, "max_held": int,
    "blocked_seconds": float, "peak_pss_mb": float,
    "latency_ms": dict[str, Number] | None,  # p50, p95, p99
    "accuracy": ByType | None, "accuracy_all_differences": ByType | None,
    "ceiling": ByType | None, "agreement": Agreement | None, "scoring": Scoring | None,
    "truth_reads": Count, "identifiable_reads": Count,
    "resume_command": str | None, "configuration": JsonObject | None,
    "history": JsonObject | None,  # as `metrics.history.as_columns` has it
})
