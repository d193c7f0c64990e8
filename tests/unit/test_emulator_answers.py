"""Prompt parsing, token estimate, scripted errors, latency and the written text."""

from __future__ import annotations

import json
import random
from statistics import median, quantiles

import pytest

from helix_ray.config import EmulatorErrorRates
from helix_ray.emulator.caller import call_variants
from helix_ray.emulator.latency import NO_TIME, LatencyModel
from helix_ray.emulator.models import MODELS
from helix_ray.emulator.prompt import Pair, parse_pair
from helix_ray.emulator.scripted_model import ScriptedModel
from helix_ray.emulator.tokens import text_tokens, total_prompt_tokens


def indexed(bases: str) -> str:
    return " ".join(f"{i + 1}:{bases[i : i + 10]}" for i in range(0, len(bases), 10))


def prompt(ref: str, read: str, opaque_id: str = "q7") -> str:
    return f"id: {opaque_id}\nreference ({len(ref)} bases):\n{indexed(ref)}\nread ({len(read)} bases):\n{indexed(read)}"


def pairs(count: int, seed: int = 1) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        ref = "".join(rng.choices("ACGT", k=100))
        read = list(ref)
        for place in rng.sample(range(10, 90, 2), 2):  # neither adjacent nor inverted: two variants
            read[place] = rng.choice("ACGT".replace(read[place], ""))
        made.append((ref, "".join(read)))
    return made


def test_a_pair_is_found_between_other_lines():
    text = "Compare them.\n\n" + prompt("ACGTACGTACGT", "ACGTACGTACG") + "\nAnswer in JSON."
    assert parse_pair(text) == Pair("q7", "ACGTACGTACGT", "ACGTACGTACG")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("id: q7\n", ""),
        lambda text: text.replace("(12 bases)", "(13 bases)"),
        lambda text: text.replace("11:GT", "12:GT"),
        lambda text: text.replace("1:ACGT", "1:acgt"),
        lambda text: text.replace("1:ACGTACGTAC 11:GT", "1:ACGTACGTACGT"),
        lambda text: text + "\n" + text,
        lambda text: "hello",
    ],
)
def test_a_damaged_prompt_is_not_guessed_at(damage):
    assert parse_pair(damage(prompt("ACGTACGTACGT", "ACGTACGTACG"))) is None


def test_tokens_follow_the_measurements():
    assert text_tokens("ACGT" * 100) == pytest.approx(0.518 * 400)
    assert text_tokens(indexed("ACGT" * 100)) == pytest.approx(0.728 * 400, rel=0.01)
    assert text_tokens("abcd" * 10) == 10
    assert text_tokens("ACGTACGTACG") == 11 / 4  # a run of less than 12 bases is plain text
    assert total_prompt_tokens(7.0, "x" * 180) == 170  # the captured call: 7 of message, 45 of schema, 118 fixed
    assert total_prompt_tokens(0.1, None) == 119


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


def test_latency_has_the_published_shape():
    model = LatencyModel(1.0, 5)
    drawn = [model.draw(MODELS["openai/gpt-oss-20b"], 1000, 200, 0) for _ in range(4000)]
    assert all(timing.prompt_s == pytest.approx(0.037) and timing.completion_s == pytest.approx(0.2) for timing in drawn)
    queue = [timing.queue_s for timing in drawn]
    assert median(queue) == pytest.approx(0.005, rel=0.1)
    assert quantiles(queue, n=100)[98] == pytest.approx(0.040, rel=0.2)
    assert drawn[0].total_s == drawn[0].prompt_s + drawn[0].completion_s


def test_latency_scales_and_vanishes_at_zero():
    model = MODELS["openai/gpt-oss-120b"]
    full, tenth = (LatencyModel(scale, 5).draw(model, 1000, 470, 3) for scale in (1.0, 0.1))
    assert tenth == pytest.approx([value / 10 for value in full], abs=1e-9)
    assert LatencyModel(0.0, 5).draw(model, 1000, 470, 3) == NO_TIME


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
