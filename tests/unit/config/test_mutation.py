"""The mutation model's configuration: presets, combinations that make no sense, what the generator is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.config import Config
from helix_ray.config.loading import parse_config
from helix_ray.config.mutation import KINDS, PRESETS, MutationConfig
from helix_ray.errors import ConfigError

ROOT = Path(__file__).parents[3]
BINS = "binned:[2,12,23,37]"
ALL_SNV = {"snv": 1, "ins": 0, "del": 0, "mnv": 0, "dup": 0, "inv": 0}

# (the keys, what the error says after source.mutation.)
IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "counts and a rate": (
        {"variants_per_read": [1], "mutation_rate": 0.001},
        "mutation_rate: found 0.001 beside variants_per_read; both say how many variants a read gets: "
        "set one of the two and the other to null",
    ),
    "neither counts nor a rate": ({"variants_per_read": None}, "variants_per_read: neither it nor mutation_rate is set; exactly one"),
    "a preset's rate taken away": ({"preset": "human", "mutation_rate": None}, "variants_per_read: neither it nor mutation_rate is set"),
    "odds that do not add up": (
        {"variants_per_read": [0.5, 0.4]},
        "variants_per_read: the probabilities of 0, 1, 2, … variants must add up to 1; found 0.9; adjust one of them",
    ),
    "weights and a fraction": (
        {"type_weights": {"snv": 1}, "indel_fraction": 0.2},
        "indel_fraction: found 0.2 beside type_weights; both say which variants there are: set one of the two and the other to null",
    ),
    "neither weights nor a fraction": ({"preset": "wgsim", "indel_fraction": None}, "type_weights: neither it nor indel_fraction is set"),
    "no weight at all": ({"type_weights": {"snv": 0}}, "type_weights: all are 0; at least one weight of snv, ins, del, mnv, dup, inv"),
    "an empty mapping": ({"type_weights": {}}, "type_weights: all are 0"),
    "an unknown kind": (
        {"type_weights": {"cnv": 1}},
        "type_weights.cnv: unknown key; should be 'snv', 'ins', 'del', 'mnv', 'dup' or 'inv'",
    ),
    "a ratio beside weights": (
        {"ins_del_ratio": 2},
        "ins_del_ratio: found 2.0 beside type_weights, whose ins and del say it already; remove it",
    ),
    "lengths turned round": ({"dup_length": [9, 3]}, "dup_length: the shortest comes first, then the longest; found [9, 3]; write [3, 9]"),
    "an MNV of one base": ({"mnv_length": [1, 3]}, "mnv_length: must begin at 2 or more, found [1, 3]; an MNV of one base is an SNV"),
    "an inversion of one base": ({"inv_length": [1, 1]}, "inv_length: must begin at 2 or more, found [1, 1]; one base turned round"),
    "one length": ({"mnv_length": 3}, "mnv_length: input should be a valid list; found number 3"),
    "a structural variant": ({"dup_length": [2, 50]}, "dup_length.1: input should be less than or equal to 49; found number 50"),
    "errors from no qualities": (
        {"base_error_rate": "from_quality"},
        "base_error_rate: from_quality needs qualities, but quality_model is none; set quality_model to fixed:Q or binned:[Q,…], "
        "or base_error_rate to a probability",
    ),
    "a preset's qualities taken away": (
        {"preset": "human", "quality_model": "none"},
        "base_error_rate: from_quality needs qualities, but quality_model is none",
    ),
    "errors from elsewhere": (
        {"base_error_rate": "by_cycle"},
        "base_error_rate: input should be a probability from 0 to 1, or from_quality;",
    ),
    "errors yes": ({"base_error_rate": True}, "base_error_rate: input should be a probability from 0 to 1, or from_quality; found yes/no"),
    "weights of no bins": ({"quality_weights": [1]}, "quality_weights: only a binned quality_model has weights, found none; set"),
    "weights of one quality": (
        {"quality_model": "fixed:30", "quality_weights": [1]},
        "quality_weights: only a binned quality_model has weights, found fixed:30; set quality_weights to null",
    ),
    "weights of other length": (
        {"quality_model": BINS, "quality_weights": [0.5, 0.5]},
        f"quality_weights: found 2 weights for the 4 qualities of {BINS}; give one for each, or null for equal ones",
    ),
    "quality weights of 0": (
        {"quality_model": "binned:[9,30]", "quality_weights": [0, 0]},
        "quality_weights: all are 0; at least one weight must be above 0",
    ),
    "no room for variants": (
        {"read_length": 60},
        "read_length: 60 bases have no room for 3 variants of up to 20 bases with min_gap 10 and flank 10; lengthen the read, or lower one",
    ),
    "no room for one at a rate": (
        {"preset": "human", "read_length": 30, "flank": 15},
        "read_length: 30 bases have no room for 1 variant of",
    ),
}
BAD_QUALITIES = [
    *("", "NONE", "illumina", "fixed", "fixed:", "fixed:0", "fixed:94", "fixed:-3", "fixed:2.5"),
    *("binned:[]", "binned:[2,2]", "binned:[9,2]", "binned:[2,12", "binned:[2;12]", "binned:[94]"),
    f"binned:{[*range(1, 18)]}",
]


def problems_of(mutation: dict[str, Any], **source: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config({"source": {"mutation": mutation, **source}}, "run")
    return caught.value.problems


@pytest.mark.parametrize(("keys", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_combination_is_one_clear_error(keys: dict[str, Any], message: str) -> None:
    (problem,) = problems_of(keys)
    assert problem.startswith(f"source.mutation.{message}")


@pytest.mark.parametrize("text", BAD_QUALITIES)
def test_a_bad_quality_model(text: str) -> None:
    (problem,) = problems_of({"quality_model": text})
    assert problem == (
        "source.mutation.quality_model: input should be none, fixed:Q or binned:[Q,…], with up to 16 rising Phred qualities "
        f"from 1 to 93; found text {text!r}"
    )


@pytest.mark.parametrize("keys", [{"gc_content": 0.5}, {"low_complexity_fraction": 0.2}], ids=str)
def test_windows_of_a_reference_are_taken_as_they_are(keys: dict[str, Any]) -> None:
    (problem,) = problems_of(keys, reference="ref.fa")
    assert problem.startswith(
        "source.mutation: windows of a reference are taken as they are; set mutation.gc_content to null "
        "and mutation.low_complexity_fraction to 0"
    )
    mutation = parse_config({"source": {"reference": "ref.fa"}}, "run").source.mutation
    assert (mutation.gc_content, mutation.low_complexity_fraction, mutation.preset) == (None, 0.0, "bench")


def test_the_default_is_bench() -> None:
    assert MutationConfig() == MutationConfig(preset="bench")
    assert PRESETS.keys() == {"bench", "wgsim", "human"}


def test_presets_in_the_words_of_the_tools_they_are_named_after() -> None:
    wgsim, human = MutationConfig(preset="wgsim"), MutationConfig(preset="human")
    assert (wgsim.read_length, wgsim.mutation_rate, wgsim.indel_fraction, wgsim.base_error_rate) == (70, 0.001, 0.15, 0.02)
    assert (wgsim.variants_per_read, wgsim.type_weights, wgsim.quality_model) == (None, None, "fixed:17")
    assert (human.base_error_rate, human.quality_model, human.quality_weights) == ("from_quality", BINS, [0.002, 0.03, 0.068, 0.90])
    assert human.type_weights == {"snv": 0.78, "ins": 0.10, "del": 0.10, "mnv": 0.02, "dup": 0.0, "inv": 0.0}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_the_generator_is_tested_with(preset: str) -> None:
    shipped = json.loads((ROOT / f"rust_gen/tests/presets/{preset}.json").read_text())
    assert json.loads(MutationConfig.model_validate({"preset": preset}).to_generator_json()) == shipped


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        ({"mutation_rate": 0.01}, {"variants_per_read": None, "mutation_rate": 0.01}),
        ({"preset": "wgsim", "variants_per_read": [0, 1]}, {"variants_per_read": [0.0, 1.0], "mutation_rate": None}),
        ({"indel_fraction": 0.3}, {"type_weights": None, "indel_fraction": 0.3}),
        ({"preset": "wgsim", "type_weights": {"snv": 1}}, {"type_weights": ALL_SNV, "indel_fraction": None}),
        ({"preset": "human", "quality_model": "fixed:30"}, {"quality_model": "fixed:30", "quality_weights": None}),
        ({"preset": "human", "quality_model": BINS}, {"quality_weights": [0.002, 0.03, 0.068, 0.90]}),
        ({"quality_model": "binned:[2, 12]"}, {"quality_model": "binned:[2,12]", "quality_weights": None}),
        ({"preset": "human", "flank": 3}, {"flank": 3, "min_gap": 5}),
    ],
    ids=str,
)
def test_explicit_keys_override_the_preset(keys: dict[str, Any], taken: dict[str, Any]) -> None:
    model = MutationConfig.model_validate(keys)
    assert {key: getattr(model, key) for key in taken} == taken


def test_the_generator_is_told_every_key_but_the_preset() -> None:
    told = json.loads(MutationConfig().to_generator_json())
    assert [*told] == [key for key in MutationConfig.model_fields if key != "preset"]
    assert [*told["type_weights"]] == list(KINDS)


models = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from(["bench", "wgsim", "human"]),
        "read_length": st.integers(150, 400),
        "type_weights": st.dictionaries(st.sampled_from(KINDS), st.floats(0.1, 1), min_size=1),
        "max_indel_length": st.integers(1, 20),
        "dup_length": st.tuples(st.integers(1, 9), st.integers(10, 20)).map(list),
        "base_error_rate": st.floats(0, 1),
        "quality_model": st.sampled_from(["none", "fixed:9", "binned:[3,30]"]),
        "n_rate": st.floats(0, 1),
        "min_gap": st.integers(1, 5),
    },
)


@given(models)
def test_a_stored_model_holds_every_value_and_reads_back_as_it_was(keys: dict[str, Any]) -> None:
    if keys.get("preset") == "human" and keys.get("quality_model") == "none":
        keys["base_error_rate"] = 0.0  # the preset's own comes from qualities
    config = Config.model_validate({"source": {"mutation": keys}})
    stored = json.loads(config.to_json())
    assert set(stored["source"]["mutation"]) == set(MutationConfig.model_fields)
    assert parse_config(stored, "run") == config
    assert Config.model_validate_json(config.to_json()) == config


def test_the_model_is_part_of_what_defines_the_results() -> None:
    before, after = (Config.model_validate({"source": {"mutation": keys}}).results_identity() for keys in ({}, {"n_rate": 0.01}))
    assert [key for key in before if before[key] != after[key]] == ["source.mutation.n_rate"]
    assert {f"source.mutation.{key}" for key in MutationConfig.model_fields} <= before.keys()
