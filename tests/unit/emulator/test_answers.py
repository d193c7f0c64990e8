"""Scripted errors, latency and prices."""

from __future__ import annotations

import json
import random
from statistics import median, quantiles

import pytest

from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.published import MODELS
from helix_ray.emulator.scripted_model import Call, ScriptedModel, call_variants
from helix_ray.emulator.timing import NO_TIME, LatencyModel
from support.emulator_case import asked_reads


def pairs(count: int) -> list[tuple[str, str]]:
    return [(ref, read) for _, ref, read in asked_reads(count)]


def test_without_errors_the_answer_is_the_truth():
    model = ScriptedModel(1, EmulatorErrorRates(drop=0.0, shift=0.0, hallucinate=0.0))
    for ref, read in pairs(50):
        answer = model.answer(ref, read)
        assert [call for call, _ in answer.calls] == call_variants(ref, read)
        assert (answer.true_calls, answer.dropped, answer.shifted, answer.hallucinated) == (2, 0, 0, 0)


def test_answers_are_a_function_of_seed_and_pair():
    rates = EmulatorErrorRates(drop=0.3, shift=0.3, hallucinate=0.3)
    first, again, other = (ScriptedModel(seed, rates) for seed in (1, 1, 2))
    given = pairs(100)
    expected = [first.answer(*pair) for pair in given]
    assert [again.answer(*pair) for pair in reversed(given)] == expected[::-1]
    assert [other.answer(*pair) for pair in given] != expected


def test_error_rates_come_out_as_configured_and_are_recorded():
    model = ScriptedModel(3, EmulatorErrorRates(drop=0.2, shift=0.1, hallucinate=0.3))
    true = dropped = shifted = hallucinated = 0
    for ref, read in pairs(2000):
        answer, truth = model.answer(ref, read), call_variants(ref, read)
        kept = [call for call, _ in answer.calls if call in truth]
        false = [call for call, _ in answer.calls if call not in truth]
        assert len(kept) == answer.true_calls - answer.dropped - answer.shifted
        assert len(false) == answer.shifted + answer.hallucinated
        assert all(0 <= confidence <= 1 for _, confidence in answer.calls)
        assert all(1 <= call.pos <= len(ref) for call, _ in answer.calls)
        true, dropped, shifted = true + answer.true_calls, dropped + answer.dropped, shifted + answer.shifted
        hallucinated += answer.hallucinated
    assert true == 4000
    assert dropped / true == pytest.approx(0.2, abs=0.03)
    assert shifted / true == pytest.approx(0.1, abs=0.03)
    assert hallucinated / 2000 == pytest.approx(0.3, abs=0.04)


def test_every_call_dropped_leaves_an_empty_answer():
    model = ScriptedModel(1, EmulatorErrorRates(drop=1.0, shift=0.0, hallucinate=0.0))
    assert model.answer(*pairs(1)[0]).calls == []


def changed(ref: str, call: Call) -> str:
    return ref[: call.pos - 1] + call.alt + ref[call.pos - 1 + len(call.ref) :]


def test_a_shifted_call_is_wrong_and_spoils_no_other():
    """In windows of few letters a call may move without leaving its place; those count as dropped."""
    model = ScriptedModel(1, EmulatorErrorRates(drop=0.0, shift=1.0, hallucinate=0.0))
    rng = random.Random(8)
    shifted = dropped = 0
    for _ in range(2000):
        ref = "".join(rng.choices(rng.choice(["A", "AC", "ACGT"]), k=rng.randint(4, 30)))
        cut, size = rng.randrange(len(ref)), rng.randint(1, 3)
        read = ref[:cut] + rng.choice(["", *rng.choices("ACGT", k=3), "AA", "CAC"]) + ref[cut + rng.choice([0, size]) :] or "A"
        answer, truth = model.answer(ref, read), call_variants(ref, read)
        for moved, _ in answer.calls:
            assert any((moved.pos - call.pos, moved.ref, moved.alt) in ((1, *call[1:]), (-1, *call[1:])) for call in truth)
            assert changed(ref, moved) not in [changed(ref, call) for call in truth]
        assert answer.shifted == len(answer.calls)
        assert answer.shifted + answer.dropped == len(truth)
        shifted, dropped = shifted + answer.shifted, dropped + answer.dropped
    assert shifted > 1000
    assert dropped > 50


def test_a_shift_that_changes_nothing_goes_the_other_way_or_is_dropped():
    model = ScriptedModel(1, EmulatorErrorRates(drop=0.0, shift=1.0, hallucinate=0.0))
    assert call_variants("AAAAAA", "AAAAA") == [Call(1, "AA", "A")]
    answer = model.answer("AAAAAA", "AAAAA")  # one base on, the same deletion; one base back, outside
    assert (answer.calls, answer.dropped, answer.shifted) == ([], 1, 0)


def test_latency_has_the_published_shape():
    model = LatencyModel(1.0, 0.05, 5)
    drawn = [model.draw(MODELS["openai/gpt-oss-20b"], 1000, 200, 0) for _ in range(4000)]
    assert all(timing.prompt_s == pytest.approx(0.037) and timing.completion_s == pytest.approx(0.2) for timing in drawn)
    queue = [timing.queue_s for timing in drawn]
    assert median(queue) == pytest.approx(0.005, rel=0.1)
    assert quantiles(queue, n=100)[98] == pytest.approx(0.040, rel=0.2)
    assert drawn[0].total_s == drawn[0].prompt_s + drawn[0].completion_s


def test_latency_scales_and_vanishes_at_zero():
    model = MODELS["openai/gpt-oss-120b"]
    full, tenth = (LatencyModel(scale, 0.05, 5).draw(model, 1000, 470, 3) for scale in (1.0, 0.1))
    assert tenth == pytest.approx([value / 10 for value in full], abs=1e-9)
    assert LatencyModel(0.0, 0.05, 5).draw(model, 1000, 470, 3) == NO_TIME


def test_models_carry_prices_as_the_live_api_does():
    wire = json.loads(json.dumps(MODELS["openai/gpt-oss-20b"].wire()))
    assert wire["pricing"] == {
        "prompt": "0.000000075",
        "completion": "0.0000003",
        "image": "0",
        "request": "0",
        "input_cache_read": "0.0000000375",
    }
    assert (wire["context_window"], wire["max_completion_tokens"], wire["active"]) == (131072, 65536, True)
