"""Scripted errors, latency and prices, and the emulator's caller against brute force."""

import json
import random
from functools import cache
from statistics import median, quantiles

import pytest

from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.published import MODELS
from helix_ray.emulator.scripted_model import Call, ScriptedModel, align, call_variants
from helix_ray.emulator.timing import NO_TIME, LatencyModel
from helix_ray.native import rust
from helix_ray.sources import make_source
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


def apply(ref: str, calls: list[Call]) -> str:
    """Independent of the caller: strips anchors, then edits from right to left."""
    edits = []
    for pos, gone, new in calls:
        assert ref[pos - 1 : pos - 1 + len(gone)] == gone
        start, end, new_end = pos - 1, pos - 1 + len(gone), len(new)
        skip = 0
        while start < end and skip < new_end and ref[start] == new[skip]:
            start, skip = start + 1, skip + 1
        while start < end and skip < new_end and ref[end - 1] == new[new_end - 1]:
            end, new_end = end - 1, new_end - 1
        edits.append((start, end, new[skip:new_end]))
    for start, end, new in sorted(edits, reverse=True):
        ref = ref[:start] + new + ref[end:]
    return ref


def mutated(rng: random.Random, ref: str, variants: int, alphabet: str) -> str:
    bases = list(ref)
    for place in sorted(rng.sample(range(len(ref)), variants), reverse=True):
        size = 1 + min(int(rng.expovariate(0.8)), 12)
        match rng.choice("SSID"):
            case "S":
                bases[place] = rng.choice(alphabet)
            case "I":
                bases[place:place] = rng.choices(alphabet, k=size)
            case _:
                del bases[place : place + size]
    return "".join(bases) or "A"


@pytest.mark.parametrize("alphabet", ["ACGT", "AC", "A"])
@pytest.mark.parametrize("size", [1, 3, 8, 40, 150])
def test_applying_the_calls_rebuilds_the_read(alphabet: str, size: int):
    rng = random.Random(f"{alphabet}{size}")
    for _ in range(150):
        ref = "".join(rng.choices(alphabet, k=size))
        read = mutated(rng, ref, rng.randint(0, min(size, 8)), alphabet)
        assert apply(ref, call_variants(ref, read)) == read


def test_unrelated_sequences_are_rebuilt_too():
    rng = random.Random(2)
    for _ in range(300):
        ref = "".join(rng.choices("ACGT", k=rng.randint(1, 30)))
        read = "".join(rng.choices("ACGT", k=rng.randint(1, 30)))
        assert apply(ref, call_variants(ref, read)) == read
    ref, read = "A" * 1500, "C" * 1200  # too far apart to align: one replacement
    assert call_variants(ref, read) == [Call(1, ref, read)]


def gotoh(ref: str, read: str) -> int:
    """The least gap-affine cost by plain dynamic programming: mismatch 4, gap 6 + 2 a base."""

    @cache
    def cost(i: int, j: int, state: str) -> int:
        if i < 0 or j < 0:
            return 10**6
        if i == j == 0:
            return 0 if state == "M" else 10**6
        if state == "M":
            diagonal = cost(i - 1, j - 1, "M") + (0 if i and j and ref[i - 1] == read[j - 1] else 4)
            return min(diagonal, cost(i, j, "I"), cost(i, j, "D"))
        at = (i, j - 1) if state == "I" else (i - 1, j)
        return min(cost(*at, "M") + 8, cost(*at, state) + 2)

    return cost(len(ref), len(read), "M")


def test_alignments_cost_no_more_than_the_optimum():
    rng = random.Random(4)
    for _ in range(200):
        ref = "".join(rng.choices("ACG", k=rng.randint(1, 14)))
        read = mutated(rng, ref, rng.randint(0, min(4, len(ref))), "ACG")
        operations = align(ref, read)
        assert operations is not None
        cost, last = 0, ("", -1, -1)
        for kind, r, q in operations:
            extends = kind == last[0] and (r, q) == (last[1] + (kind == "D"), last[2] + (kind == "I"))
            cost += 4 if kind == "X" else 2 if extends else 8
            last = (kind, r, q)
        assert cost == gotoh(ref, read)


@pytest.mark.parametrize(
    ("ref", "read", "calls"),
    [
        ("ACGTACGT", "ACGTACGT", []),
        ("ACGTACGT", "ACGAACGT", [Call(4, "T", "A")]),
        ("ACGTACGT", "ACTTTCGT", [Call(3, "G", "T"), Call(5, "A", "T")]),
        ("ACGTACGT", "ACAAACGT", [Call(3, "GT", "AA")]),  # neighbours are one call
        ("ACGTACGT", "ACAAGCGT", [Call(3, "GTA", "AAG")]),
        ("ACGTACGT", "ACATCCGT", [Call(3, "G", "A"), Call(5, "A", "C")]),  # with an equal base between them they are two
        ("ACAACGCTGG", "ACGCGTTTGG", [Call(3, "AACGC", "GCGTT")]),  # an inversion is one, whatever agrees inside
        ("ACAAGGGAAAACGG", "ACTTTTCCCTTCGG", [Call(3, "AAGGGAAAA", "TTTTCCCTT")]),  # cheaper as two gaps, and yet one
        ("GCAAAAT", "GCAAAAAT", [Call(2, "C", "CA")]),  # left-aligned in the run
        ("GCAAAAT", "GCAAT", [Call(2, "CAA", "C")]),
        ("GACACACT", "GACACT", [Call(1, "GAC", "G")]),
        ("ACGT", "TTACGT", [Call(1, "A", "TTA")]),  # nothing stands before it: anchored behind
        ("TTACGT", "ACGT", [Call(1, "TTA", "A")]),
        ("ACGT", "ACGTGG", [Call(4, "T", "TGG")]),
    ],
)
def test_calls_are_one_based_anchored_and_left_aligned(ref: str, read: str, calls: list[Call]):
    assert call_variants(ref, read) == calls


def test_three_distant_variants_are_found_exactly():
    rng = random.Random(9)
    ref = "".join(rng.choices("ACGT", k=150))
    ref = ref[:40] + "GCT" + ref[43:80] + "GATC" + ref[84:]
    read = ref[:20] + ("A" if ref[20] != "A" else "C") + ref[21:42] + "AA" + ref[42:82] + ref[83:]
    assert call_variants(ref, read) == [Call(21, ref[20], read[20]), Call(42, "C", "CAA"), Call(82, "AT", "A")]


def test_it_finds_what_the_generator_did_to_spaced_reads():
    """Two programs that share no code: every event of the default model, in repeats too, is reported as in its truth."""
    block = make_source(Config.model_validate({"source": {"batch_size": 500}})).block(0)
    assert block is not None
    for read in block.rows():
        calls = sorted(rust.normalize(read.ref_seq, *call)[:3] for call in call_variants(read.ref_seq, read.seq))
        assert calls == [variant[:3] for variant in read.truth or ()]
