"""Results of reads that a scripted model answered with mistakes. They say nothing about any LLM."""

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall, ReadAnswer, reread_answer
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.answers import Item, write_answer
from helix_ray.emulator.request import AnswerForm
from helix_ray.emulator.scripted_model import ScriptedModel
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.proximity import mistake_rates
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.scores import Scores
from helix_ray.scoring.summary import Rate, total
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


_ONE_READ = AnswerForm(packed=False, work=False)


def answered(read: Read, model: ScriptedModel) -> ReadResult:
    """The result of one answer. Its mistakes are scripted and say nothing about any LLM."""
    answer = reread_answer(write_answer([Item("id", model.answer(read.ref_seq, read.seq).calls, 0)], _ONE_READ))
    assert isinstance(answer, ReadAnswer), answer
    calls = judge_calls(answer.calls, read.ref_seq)
    score = score_read(read, calls, None)
    return with_score(ReadResult(read, Disposition.STORED, mutation_detected=any(call.outcome == "ok" for call in calls)), score)


def scripted_scores(seed: int, reads: int, rates: EmulatorErrorRates) -> Scores:
    """The scores of ``reads`` (at most 500) fresh reads of the preset bench and a fresh scripted caller."""
    config = Config.model_validate({"run": {"seed": seed}, "source": {"count": reads, "batch_size": reads}})
    batch = SyntheticSource(config).block(0)
    assert batch is not None
    model, scores = ScriptedModel(seed, rates), Scores()
    for read in batch.rows():
        scores.add(answered(read, model))
    return scores


def recovered(scores: Scores) -> dict[str, Rate]:
    """The rates at which the caller erred, as a report has them."""
    return mistake_rates(total(scores.model.by("type")), scores.reads.invented, scores.reads.answered, scores.reads.renumbered)
