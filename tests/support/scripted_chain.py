"""From a read to its scored result without a pipeline: the emulator's scripted caller, its answer as text, judge and scorer."""

from __future__ import annotations

from typing import Any

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import ReadAnswer, reread_answer
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.answers import Item, write_answer
from helix_ray.emulator.request import AnswerForm
from helix_ray.emulator.scripted_model import ScriptedModel
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.proximity import mistake_rates
from helix_ray.scoring.score import score_read
from helix_ray.scoring.scores import Scores
from helix_ray.scoring.summary import total
from helix_ray.sources.synthetic import SyntheticSource

_ONE_READ = AnswerForm(packed=False, work=False)


def answered(read: Read, model: ScriptedModel) -> ReadResult:
    """The result of one answer. Its mistakes are scripted and say nothing about any LLM."""
    answer = reread_answer(write_answer([Item("id", model.answer(read.ref_seq, read.seq).calls, 0)], _ONE_READ))
    assert isinstance(answer, ReadAnswer), answer
    calls = judge_calls(answer.calls, read.ref_seq)
    score = score_read(read, calls, None)
    return ReadResult(read, Disposition.STORED, mutation_detected=any(call.outcome == "ok" for call in calls), **score.as_fields())


def scripted_scores(seed: int, reads: int, rates: EmulatorErrorRates) -> Scores:
    """The scores of ``reads`` (at most 500) fresh reads of the preset bench and a fresh scripted caller."""
    config = Config.model_validate({"run": {"seed": seed}, "source": {"count": reads, "batch_size": reads}})
    batch = SyntheticSource(config).block(0)
    assert batch is not None
    model, scores = ScriptedModel(seed, rates), Scores()
    for read in batch.rows():
        scores.add(answered(read, model))
    return scores


def recovered(scores: Scores) -> dict[str, dict[str, Any]]:
    """The rates at which the caller erred, as a report has them."""
    return mistake_rates(total(scores.model.by("type")), scores.reads.invented, scores.reads.answered)
