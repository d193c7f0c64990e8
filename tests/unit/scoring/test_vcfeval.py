"""Verdicts of rtg vcfeval on 2,000 reads with mistakes of every kind, recorded: the same truths found, the same bases wrong.

rtg-tools 3.12.1, ``vcfeval --squash-ploidy --ref-overlap --all-records``, the windows on one contig with 100 N between them. A line a
read: its truths, then its valid calls, each right (+) or wrong (-).
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from helix_ray.analysis.judge import judge_calls
from helix_ray.records import Disposition, ReadResult, ScoredVariant
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.scores import Scores
from helix_ray.scoring.variants import JudgedCall
from support.scored_results import made_reads, said_calls

VERDICTS = Path(__file__).with_name("vcfeval_verdicts.txt").read_text().splitlines()
SUBSTITUTIONS = ("SNV", "MNV")


def test_weighted_counts_are_vcfevals_by_type() -> None:
    rng, scores, right, missed, false = random.Random(2000), Scores(), Counter[str](), Counter[str](), Counter[str]()
    spelled = 0
    for read, verdict in zip(made_reads(2000), VERDICTS, strict=True):
        calls = [call for call in judge_calls(list(said_calls(rng, read)), read.ref_seq) if call.outcome == "ok"]
        truths, said = verdict.split("|")
        result = with_score(ReadResult(read, Disposition.STORED), score_read(read, calls, None))
        scores.add(result)
        for variant, mark in zip(read.truth or (), truths, strict=True):
            (right if mark == "+" else missed)[variant.type] += 1
        wrong = [call for call, mark in zip(calls, said, strict=True) if mark == "-"]
        spelled += len(said) - len(wrong)
        ours = [row for row in result.variants if row.side == "call" and row.match == "FP"]
        assert touched(wrong) == touched(ours), (read, verdict)
        false.update(str(row.type) for row in ours)
        assert sum(call.type not in SUBSTITUTIONS for call in wrong) == sum(row.type not in SUBSTITUTIONS for row in ours)
    found = scores.model.by("type")
    assert {kind: counts.tp for kind, counts in found.items() if counts.tp} == right
    assert {kind: counts.fn for kind, counts in found.items() if counts.fn} == missed
    assert {kind: counts.fp for kind, counts in found.items() if counts.fp} == false
    assert (right.total(), missed.total()) == (3538, 1579)
    assert spelled == 3578 > right.total(), "as spelled there are more"


def touched(calls: Sequence[JudgedCall | ScoredVariant]) -> set[tuple[int, str]]:
    """The bases that wrong substitutions claim, however they are spelled."""
    return {(call.pos + at, base) for call in calls if call.type in SUBSTITUTIONS for at, base in enumerate(call.alt)}
