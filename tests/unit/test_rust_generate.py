"""The generator as Python sees it."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from helix_ray import _rust_gen
from helix_ray.mutation import KINDS, MutationConfig
from helix_ray.sources.extension import Generated

DEFAULT = MutationConfig().to_generator_json()
COMPLEMENT = str.maketrans("ACGT", "TGCA")
# sha256 of the first thousand records of seed 42, every column. A new one needs a new GENERATOR_VERSION: stored runs could not
# be resumed with other reads.
FROZEN = {
    "bench": "90afc164cb428af472f8544ab1bdb746195ff43d556554296787b7e42b1e3061",
    "wgsim": "c794ec360ed1fdbe818cd58f6617a53687255111393a7be78984390d033e9e1f",
    "human": "b2292b0dd9035a67ff3d9f1605fade366c134119dfd015215a1c87b7747e7629",
}


def generated(model: MutationConfig, count: int, start: int = 0, seed: int = 42) -> Generated:
    return Generated._make(_rust_gen.generate(seed, model.to_generator_json(), start, count))


@pytest.mark.parametrize("preset", FROZEN)
def test_the_first_thousand_records_are_frozen(preset: str) -> None:
    assert _rust_gen.GENERATOR_VERSION == 2
    made = generated(MutationConfig.model_validate({"preset": preset}), 1000)
    assert hashlib.sha256(json.dumps(made).encode()).hexdigest() == FROZEN[preset]


def test_columns_have_the_length_that_was_asked_for() -> None:
    assert [len(column) for column in _rust_gen.generate(1, DEFAULT, 10, 7)] == [7] * 14
    assert [len(column) for column in _rust_gen.generate(1, DEFAULT, 10, 0)] == [0] * 14


@pytest.mark.parametrize("preset", FROZEN)
def test_a_record_does_not_depend_on_its_batch(preset: str) -> None:
    model = MutationConfig.model_validate({"preset": preset})
    whole = generated(model, 40)
    parts = [generated(model, 8, start) for start in range(0, 40, 8)]
    assert list(whole) == [[value for part in parts for value in part[column]] for column in range(14)]
    assert len(generated(model, 1, start=2**64 - 2).ref_seq[0]) == model.read_length


def test_truth_describes_the_difference() -> None:
    made = generated(MutationConfig(), 500, seed=3)
    for index, (window, seq, truth) in enumerate(zip(made.ref_seq, made.seq, made.truth, strict=True)):
        rebuilt, done = "", 0
        for pos, ref, alt, kind, event, length, spdi, titv in truth:
            assert window[pos - 1 : pos - 1 + len(ref)] == ref
            normal = _rust_gen.describe(window, pos, ref, alt, f"hx{index}", 0)
            assert normal == (pos, ref, alt, kind, length, spdi, titv)
            assert kind in {"ins": {"INS"}, "dup": {"INS"}, "del": {"DEL"}, "mnv": {"MNV"}, "inv": {"MNV", "SNV"}, "snv": {"SNV"}}[event]
            if event == "inv":
                assert alt == ref.translate(COMPLEMENT)[::-1]
            rebuilt += window[done : pos - 1] + alt
            done = pos - 1 + len(ref)
        assert rebuilt + window[done:] == seq


def test_strata_are_the_windows() -> None:
    made = generated(MutationConfig(low_complexity_fraction=0.5), 300)
    for window, gc, run, repeat in zip(made.ref_seq, made.gc, made.max_homopolymer, made.max_str, strict=True):
        assert gc == sum(base in "GC" for base in window) / len(window)
        assert any(base * run in window for base in "ACGT")
        assert not any(base * (run + 1) in window for base in "ACGT")
        assert repeat == 0 or 4 <= repeat <= len(window)
    assert max(made.max_homopolymer) > 10


lengths = st.tuples(st.integers(2, 49), st.integers(2, 49)).map(sorted)
how_many = st.fixed_dictionaries({"variants_per_read": st.integers(1, 9).map(lambda count: [0.0] * (count - 1) + [1.0])})
at_a_rate = st.fixed_dictionaries({"mutation_rate": st.floats(0, 1, exclude_max=True)})
by_weight = st.fixed_dictionaries({"type_weights": st.dictionaries(st.sampled_from(KINDS), st.floats(0, 1), min_size=1)})
by_fraction = st.fixed_dictionaries({"indel_fraction": st.floats(0, 1), "ins_del_ratio": st.floats(1e-12, 1e12)})
others = st.fixed_dictionaries(
    {"preset": st.sampled_from([*FROZEN])},
    optional={
        "read_length": st.integers(30, 2000),
        "gc_content": st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
        "indel_extend_prob": st.floats(0, 1, exclude_max=True),
        "max_indel_length": st.integers(1, 49),
        "titv_ratio": st.floats(1e-12, 1e12),
        "mnv_length": lengths,
        "dup_length": lengths,
        "inv_length": lengths,
        "min_gap": st.integers(1, 30) | st.integers(1, 100),
        "flank": st.integers(1, 30) | st.integers(1, 100),
        "base_error_rate": st.floats(0, 1) | st.just("from_quality"),
        "quality_model": st.sampled_from(["none", "fixed:1", "fixed:93", "binned:[1]", "binned:[2,12]"]),
        "quality_weights": st.lists(st.floats(0, 1), min_size=2, max_size=2),
        "low_complexity_fraction": st.floats(0, 1),
        "n_rate": st.floats(0, 1),
        "strand_flip_prob": st.floats(0, 1),
    },
)
models = st.tuples(how_many | at_a_rate | st.just({}), by_weight | by_fraction | st.just({}), others).map(
    lambda parts: parts[0] | parts[1] | parts[2]
)


@settings(max_examples=200)
@given(models)
def test_the_generator_takes_every_model_that_the_configuration_takes(keys: dict[str, object]) -> None:
    try:
        model = MutationConfig.model_validate(keys)
    except ValidationError:
        return
    assert len(generated(model, 2).seq) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((1, "{}", 0, 1), ValueError, "read_length"),
        ((1, "no json", 0, 1), ValueError, "mutation"),
        ((1, DEFAULT.replace("0.41", "41"), 0, 1), ValueError, "gc_content"),
        ((1, DEFAULT, 0, 1_000_001), ValueError, "count"),
        ((1, DEFAULT, 2**64 - 1, 2), ValueError, "start"),
        ((-1, DEFAULT, 0, 1), OverflowError, "negative"),
    ],
)
def test_what_cannot_be_generated(arguments: tuple[int, str, int, int], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        _rust_gen.generate(*arguments)


def released_the_gil(work: Callable[[], object]) -> bool:
    """With the interpreter's own switching off, this thread gets the GIL only where the extension lets go of it."""
    begun, ended = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        work()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    meanwhile = not ended.is_set()
    thread.join()
    return meanwhile


def test_other_threads_run_meanwhile() -> None:
    """Several tries, since on a busy machine this thread may wake too late."""
    config = MutationConfig(read_length=2000).to_generator_json()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        assert any(released_the_gil(lambda: _rust_gen.generate(1, config, 0, 10_000)) for _ in range(10))
    finally:
        sys.setswitchinterval(interval)
