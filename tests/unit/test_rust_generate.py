"""The generator as Python sees it."""

from __future__ import annotations

import sys
import threading

import pytest

from helix_ray import _rust_gen
from helix_ray.config import MutationConfig

DEFAULT = MutationConfig().model_dump_json()
DENSE = MutationConfig(
    read_length=60,
    gc_content=0.9,
    variants_per_read=[0.0, 0.0, 1.0],
    type_weights={"ins": 1.0, "del": 1.0},
    indel_extend_prob=0.6,
    max_indel_length=9,
    titv_ratio=0.5,
    min_gap=3,
    flank=2,
).model_dump_json()


def fnv(seed: int, config: str) -> int:
    """FNV-1a over the first thousand records, written as rust_gen/tests/golden.rs writes them."""
    value = 0xCBF29CE484222325
    windows, seqs, truths, identifiable, _, runs = _rust_gen.generate(seed, config, 0, 1000)
    for window, seq, truth, known, run in zip(windows, seqs, truths, identifiable, runs, strict=True):
        calls = ",".join(f"{pos}:{ref}>{alt}:{kind}:{event}" for pos, ref, alt, kind, event in truth)
        for byte in f"{window} {seq} {calls} {known:d} {run}\n".encode():
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def test_the_first_thousand_records_are_frozen() -> None:
    """A new hash needs a new GENERATOR_VERSION: stored runs could not be resumed with other reads."""
    assert _rust_gen.GENERATOR_VERSION == 1
    assert fnv(42, DEFAULT) == 0xBFA72B8E6C116A52
    assert fnv(0, DEFAULT) == 0x88E0E79AA73938E6
    assert fnv(2**63 - 1, DENSE) == 0x8F62154ECD199979


def test_columns_have_the_length_that_was_asked_for() -> None:
    assert [len(column) for column in _rust_gen.generate(1, DEFAULT, 10, 7)] == [7] * 6
    assert [len(column) for column in _rust_gen.generate(1, DEFAULT, 10, 0)] == [0] * 6


def test_a_record_does_not_depend_on_its_batch() -> None:
    whole = _rust_gen.generate(9, DEFAULT, 0, 40)
    parts = [_rust_gen.generate(9, DEFAULT, start, 8) for start in range(0, 40, 8)]
    assert list(whole) == [[value for part in parts for value in part[column]] for column in range(6)]
    last = _rust_gen.generate(9, DEFAULT, 2**64 - 2, 1)
    assert len(last[0][0]) == 150


def test_truth_describes_the_difference() -> None:
    windows, seqs, truths, _, gc, runs = _rust_gen.generate(3, DEFAULT, 0, 500)
    for window, seq, truth, fraction, run in zip(windows, seqs, truths, gc, runs, strict=True):
        rebuilt, done = "", 0
        for pos, ref, alt, kind, event in truth:
            assert window[pos - 1 : pos - 1 + len(ref)] == ref
            assert kind == event.upper()
            rebuilt += window[done : pos - 1] + alt
            done = pos - 1 + len(ref)
        assert rebuilt + window[done:] == seq
        assert fraction == sum(base in "GC" for base in window) / len(window)
        assert any(base * run in window for base in "ACGT")
        assert not any(base * (run + 1) in window for base in "ACGT")


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


def test_other_threads_run_meanwhile() -> None:
    """With the interpreter's own switching off, this thread gets the GIL only where the extension lets go of it.

    Several tries, since on a busy machine this thread may wake too late.
    """
    config = MutationConfig(read_length=2000).model_dump_json()

    def ran_meanwhile() -> bool:
        begun, ended = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            _rust_gen.generate(1, config, 0, 10_000)
            ended.set()

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        meanwhile = not ended.is_set()
        thread.join()
        return meanwhile

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        assert any(ran_meanwhile() for _ in range(10))
    finally:
        sys.setswitchinterval(interval)
