"""Results of every kind: what the ledgers are asked to add up alike."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall, reread_answer
from helix_ray.backends.aligner import aligner_calls
from helix_ray.config import Config
from helix_ray.providers.readings import AnswerError
from helix_ray.records import Disposition, Read, ReadResult, Variant
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.variants import JudgedCall
from helix_ray.sources.synthetic import SyntheticSource
from helix_ray.storage.integrity import CORRUPTED, dead_lettered

MODELS: tuple[dict[str, Any], ...] = (
    {"preset": "bench", "base_error_rate": 0.01, "quality_model": "fixed:20"},
    {"preset": "bench", "read_length": 320, "gc_content": 0.2, "n_rate": 0.01},
    {"preset": "wgsim", "mutation_rate": 0.05},
    {"preset": "human", "read_length": 200, "mutation_rate": 0.02},
)
TIES = tuple(hundredths / 200 for hundredths in range(1, 200, 2))
PRESETS = (Disposition.UNPLACED, Disposition.FILTERED, Disposition.MALFORMED)
LENIENCIES = ((), (), ("fence",), ("case", "gap_allele"), ("case", "fence", "gap_allele", "pos_text"))


def scored_results(count: int, seed: int = 1) -> list[ReadResult]:
    """``count`` results, the same for the same seed: all presets of the generator, all endings, calls of all outcomes."""
    rng = random.Random(seed)
    reads = [read._replace(read_index=index) for index, read in enumerate(made_reads(count))]
    return [_result(rng, read) for read in reads]


def comparable(scores: RunScores) -> dict[str, object]:
    """For comparison: two runs with equal answers have equal dictionaries."""
    tallies = {name: getattr(scores, name).as_dict() for name in ("model", "ceiling", "all_differences")}
    return {name: value for name, value in vars(scores).items() if name[0] != "_"} | tallies


def answered(read: Read) -> ReadResult:
    """As an analyzer stores it: a model that names every truth but the last, and one that is not there."""
    calls = [{"pos": pos, "ref": ref, "alt": alt.lower(), "confidence": 0.5} for pos, ref, alt, *_ in (read.truth or ())[:-1]]
    calls.append({"pos": 5, "ref": "?", "alt": "A", "confidence": 0.25})
    text = json.dumps({"id": "x", "calls": calls})
    answer = reread_answer(text)
    assert not isinstance(answer, AnswerError)
    judged = judge_calls(answer.calls, read.ref_seq)
    score = score_read(read, judged, aligner_calls(read))
    detected = any(call.outcome == "ok" for call in judged)
    finished_at = datetime(2026, 1, 2, tzinfo=UTC)
    return with_score(ReadResult(read, Disposition.STORED, mutation_detected=detected, raw_answer=text, finished_at=finished_at), score)


def made_reads(count: int) -> Iterator[Read]:
    share = -(-count // len(MODELS))
    for number, model in enumerate(MODELS):
        config = Config.model_validate({"run": {"seed": number}, "source": {"count": share, "batch_size": share, "mutation": model}})
        batch = SyntheticSource(config).block(0)
        assert batch is not None
        yield from batch.rows()[: count - number * share]


def _result(rng: random.Random, read: Read) -> ReadResult:
    kind = rng.choices(("answered", "failed", "preset", "no_truth", "corrupted", "capped", "old_strata"), (12, 3, 1, 2, 1, 2, 1))[0]
    if kind == "preset":
        ending = rng.choice(PRESETS)
        return _made(read._replace(truth=None, errors=None, disposition=ending, reason="why", identifiable=None), ending, error="why")
    if kind == "no_truth":
        read = read._replace(truth=None, errors=None, identifiable=None, source="fastq")
    if kind == "old_strata":
        read = read._replace(strata=rng.choice((None, {"gc": 1.0}, {"max_homopolymer": 12.0})), identifiable=None)
    calls = None if kind == "failed" else judge_calls(list(said_calls(rng, read)), read.ref_seq)
    baseline = _baseline(rng, read)
    score = score_read(read, calls, baseline, max_states=2 if kind == "capped" else 20_000)
    if calls is None:
        failed = _made(read, Disposition.DEAD_LETTER, outcome="parse_error", error_kind="parse_error", error="no", repairs=1)
        return with_score(failed, score)
    answered = _made(
        read,
        Disposition.STORED,
        mutation_detected=any(call.outcome == "ok" for call in calls),
        outcome="ok",
        raw_answer='{"id":"x","calls":[]}',
        leniency=rng.choice(LENIENCIES),
        repairs=rng.choice((0, 0, 1)),
    )
    answered = with_score(answered, score)
    return dead_lettered(answered, CORRUPTED, "two checksums") if kind == "corrupted" else answered


def _made(read: Read, ending: Disposition, **changes: Any) -> ReadResult:
    made = ReadResult(
        read,
        ending,
        model="m",
        prompt="raw",
        cost_usd=Decimal("0.000000000001") * read.read_index,
        latency_ms=read.read_index / 7,
        attempts=1,
        finished_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    return replace(made, **changes)


def _baseline(rng: random.Random, read: Read) -> list[JudgedCall]:
    called = [RawCall(*variant[:3], None) for variant in (*(read.truth or ()), *(read.errors or ())[:1]) if rng.random() < 0.8]
    if rng.random() < 0.2:
        called.append(_invented(rng, read.ref_seq)._replace(confidence=None))
    return [call for call in judge_calls(called, read.ref_seq) if call.outcome == "ok"]


def said_calls(rng: random.Random, read: Read) -> Iterator[RawCall]:
    window = read.ref_seq
    for variant in read.truth or ():
        yield from _told(rng, variant, window)
    for error in read.errors or ():
        if rng.random() < 0.2:
            yield _call(rng, *error[:3])
    if rng.random() < 0.3:
        yield _invented(rng, window)
    if rng.random() < 0.3:
        yield _wrong(rng, window)


def _told(rng: random.Random, variant: Variant, window: str) -> Sequence[RawCall]:
    pos, ref, alt = variant[:3]
    true = _call(rng, pos, ref, alt)
    way = rng.choice(("true", "true", "true", "missed", "moved", "misnamed", "twice", "apart", "overlap"))
    if way == "missed":
        return ()
    if way == "moved":
        to = max(1, pos + rng.choice((-7, -5, -3, -1, 1, 2, 4, 5, 6)))
        return (_call(rng, to, window[to - 1 : to - 1 + len(ref)] or "A", alt),)
    if way == "misnamed":
        return (_call(rng, pos, ref, rng.choice([base for base in "ACGT" if base != ref[0]]) + ref[1:]),)
    if way == "twice":
        return (true, true._replace(confidence=0.5))
    if way == "apart" and len(ref) == len(alt) > 1:
        return [_call(rng, pos + at, old, new) for at, (old, new) in enumerate(zip(ref, alt, strict=True)) if old != new]
    if way == "overlap":
        return (true, _call(rng, pos, ref, ref[0] * (len(ref) + 2)))
    return (true,)


def _invented(rng: random.Random, window: str) -> RawCall:
    pos = rng.randrange(1, len(window) + 1)
    ref = window[pos - 1]
    return _call(rng, pos, ref, rng.choice([base for base in "ACGT" if base != ref] + [ref + "ACGTACGTACGTACGTAC", ref + "TTTTTTT"]))


def _wrong(rng: random.Random, window: str) -> RawCall:
    pos = rng.randrange(1, len(window) + 1)
    ref = window[pos - 1]
    other = "A" if ref != "A" else "C"
    return _call(rng, *rng.choice(((pos, other, ref), (pos, ref, ref), (pos, ref, "?"), (0, ref, other), (len(window) + 9, "A", "T"))))


def _call(rng: random.Random, pos: int, ref: str, alt: str) -> RawCall:
    return RawCall(pos, ref, alt, rng.choice((None, rng.random(), rng.choice(TIES), 0.0, 1.0, 0.9)))
