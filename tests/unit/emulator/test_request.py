"""What the emulator understands as a prompt, and what it does not guess at."""

import random

import pytest

from helix_ray.emulator.request import Pair, parse_pairs, text_tokens, total_prompt_tokens
from support.emulator_case import FORMATS, asked_reads, prompt

READ = ("q7", "ACGTACGTACGT", "ACGTACGTACG")


@pytest.mark.parametrize("format_", FORMATS)
def test_reads_are_found_in_every_format(format_: str):
    rng = random.Random(format_)
    for _ in range(200):
        asked = []
        for number in range(rng.randint(1, 6)):
            ref, read = ("".join(rng.choices("ACGTN", k=rng.choice([1, 2, 9, 10, 11, 20, 31, 150]))) for _ in range(2))
            asked.append((f"r{number}", ref, read))
        assert parse_pairs(prompt(format_, *asked)) == [Pair(*read) for read in asked]


@pytest.mark.parametrize("format_", FORMATS)
def test_reads_are_found_between_other_lines(format_: str):
    assert parse_pairs("Compare them.\n\n" + prompt(format_, READ) + "\nAnswer in JSON.") == [Pair(*READ)]


DAMAGE = {
    "no id": ("indexed10", "id: q7\n", ""),
    "wrong size": ("indexed10", "(12 bases)", "(13 bases)"),
    "wrong index": ("indexed10", "11:GT", "12:GT"),
    "lower case": ("indexed10", "1:ACGT", "1:acgt"),
    "group of twelve": ("indexed10", "1:ACGTACGTAC 11:GT", "1:ACGTACGTACGT"),
    "bases in the next group": ("indexed10", "1:ACGTACGTAC 11:GT", "1:ACGTACGTA 11:CGT"),
    "two ways": ("indexed10", "1:ACGTACGTAC 11:GT", "ACGTACGTACGT"),
    "space too many": ("indexed10", "1:ACGTACGTAC 11:GT", "1:ACGTACGTAC  11:GT"),
    "group of nine": ("grouped10", "ACGTACGTAC GT", "ACGTACGTA CGT"),
    "base missing": ("raw", "ACGTACGTACGT", "ACGTACGTACG"),
    "space missing": ("spaced", "A C G T A C G T A C G T", "A C G T A C G T A C GT"),
    "order of lines": (
        "paired_indexed",
        "ref 1:ACGTACGTAC\nread 1:ACGTACGTAC",
        "read 1:ACGTACGTAC\nref 1:ACGTACGTAC",
    ),
    "line missing": ("paired_indexed", "\nread 11:G", ""),
    "wrong index of a line": ("paired_indexed", "read 11:G", "read 10:G"),
    "lines of unlike length": ("assisted_aligned", "\n-ACGTACGTACG", "\nACGTACGTACG"),
    "gap against gap": ("assisted_aligned", "ACGTACGTACGT\n-ACGT", "-ACGTACGTACGT\n--ACGT"),
    "gapped wrong size": ("assisted_aligned", "(12 and 11", "(12 and 12"),
    "other words": ("raw", "reference", "window"),
}


@pytest.mark.parametrize(("format_", "old", "new"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_prompt_is_not_guessed_at(format_: str, old: str, new: str):
    whole = prompt(format_, READ)
    assert old in whole
    assert parse_pairs(whole.replace(old, new, 1)) == []
    other = ("q8", "TTTTT", "TTTTTT")
    assert parse_pairs(prompt(format_, READ, other)) != []
    assert parse_pairs(whole.replace(old, new, 1) + "\n\n" + prompt(format_, other)) == []


def test_packed_reads_are_one_blank_line_apart_and_have_ids_of_their_own():
    first, second = ("a", "ACGT", "ACGA"), ("b", "ACGT", "AGT")
    one, two = prompt("raw", first), prompt("raw", second)
    assert len(parse_pairs(f"{one}\n\n{two}")) == 2
    for apart in ("\n", "\n\n\n", "\n\nnote\n\n"):
        assert parse_pairs(one + apart + two) == []
    assert parse_pairs(prompt("raw", first, second, first)) == []
    assert parse_pairs(f"{one}\n\n{prompt('paired_indexed', second)}") == []


def test_a_size_that_no_line_has_costs_nothing():
    assert parse_pairs(prompt("raw", READ).replace("(12 bases)", "(999999 bases)")) == []
    assert parse_pairs("hello") == []


PER_BASE = {"raw": 0.518, "spaced": 1.0, "grouped10": 0.531, "indexed10": 0.728, "paired_indexed": 0.85, "assisted_aligned": 0.518}


@pytest.mark.parametrize("format_", FORMATS)
def test_tokens_follow_the_measurements(format_: str):
    for asked in (asked_reads(1, size=150), asked_reads(5, size=150)):
        words = sum(len(line) + 1 for line in prompt(format_, *asked).splitlines() if "bases" in line or not line or "id:" in line)
        assert text_tokens(prompt(format_, *asked)) == pytest.approx(len(asked) * 300 * PER_BASE[format_] + words / 4, rel=0.01)


def test_tokens_of_gaps_and_of_other_text():
    assert text_tokens("ACGT" * 10 + "--" + "ACGT" * 10) == pytest.approx(0.53 * 80 + 2)
    assert text_tokens("abcd" * 10) == 10
    assert text_tokens("ACGTACGTACG") == 11 / 4  # a run of less than 12 bases is plain text
    assert total_prompt_tokens(7.0, "x" * 180) == 170  # the captured call: 7 of message, 45 of schema, 118 fixed
    assert total_prompt_tokens(0.1, None) == 119
