"""Results of reads that a scripted model answered with mistakes of all kinds."""

from __future__ import annotations

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.scripted_model import ScriptedModel
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.score import score_read
from helix_ray.sources.synthetic import SyntheticSource


def scripted_results(count: int = 500, preset: str = "bench") -> list[ReadResult]:
    """Answers with mistakes of all kinds; every tenth read got none."""
    source = SyntheticSource(Config.model_validate({"source": {"count": count, "batch_size": count, "mutation": {"preset": preset}}}))
    model = ScriptedModel(3, EmulatorErrorRates(drop=0.2, shift=0.2, hallucinate=0.3))
    batch = source.block(0)
    assert batch is not None
    return [result_of(read, model, failed=read.read_index % 10 == 0) for read in batch.rows()]


def result_of(read: Read, model: ScriptedModel, *, failed: bool) -> ReadResult:
    said = [RawCall(*call, sure) for call, sure in model.answer(read.ref_seq, read.seq).calls]
    calls = judge_calls(said, read.ref_seq)
    truth = judge_calls([RawCall(*variant[:3], None) for variant in (*(read.truth or ()), *(read.errors or ()))], read.ref_seq)
    score = score_read(read, None if failed else calls, truth)
    return ReadResult(
        read,
        Disposition.DEAD_LETTER if failed else Disposition.STORED,
        score.rows,
        None if failed else any(call.outcome == "ok" for call in calls),
        exact=score.exact,
        baseline_exact=score.baseline_exact,
        residual_edits=score.residual_edits,
    )
