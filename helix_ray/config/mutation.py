"""The mutation model of the synthetic source: its keys, its presets, and which combinations make no sense.

The words are those of wgsim, dwgsim, Mason and simuG. configs/demo.yaml explains every key; rust_gen/ draws from the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PlainValidator, field_validator, model_validator
from pydantic_core import PydanticCustomError

from helix_ray.config.base import Fraction, PositiveFloat, Section

Preset = Literal["bench", "wgsim", "human"]
VariantKind = Literal["snv", "ins", "del", "mnv", "dup", "inv"]
KINDS: tuple[VariantKind, ...] = get_args(VariantKind)
MAX_PHRED = 93  # the highest quality that Phred+33 can write as a printable character ('~')

PRESETS: dict[Preset, dict[str, Any]] = {
    # power in every class of variant, and reads that differ from their window by variants alone
    "bench": {},
    # the defaults of wgsim 1.16 as in `wgsim -h`: -1 70 -r 0.001 -R 0.15 -X 0.30 -e 0.02; alternative bases are uniform, so Ti/Tv is 0.5
    "wgsim": {
        "read_length": 70, "gc_content": None, "variants_per_read": None, "mutation_rate": 0.001, "type_weights": None,
        "indel_fraction": 0.15, "titv_ratio": 0.5, "min_gap": 1, "flank": 1, "base_error_rate": 0.02, "quality_model": "fixed:17",
        "low_complexity_fraction": 0.0, "strand_flip_prob": 0.5,
    },
    # rates of a human genome, and the four quality bins of Illumina's NovaSeq 6000
    "human": {
        "gc_content": None, "variants_per_read": None, "mutation_rate": 0.001,
        "type_weights": {"snv": 0.78, "ins": 0.10, "del": 0.10, "mnv": 0.02}, "min_gap": 5,
        "base_error_rate": "from_quality", "quality_model": "binned:[2,12,23,37]", "quality_weights": [0.002, 0.03, 0.068, 0.90],
        "low_complexity_fraction": 0.0, "strand_flip_prob": 0.5,
    },
}  # fmt: skip
"""What a preset sets otherwise than the defaults below, which are those of ``bench``."""

ALTERNATIVES = (("variants_per_read", "mutation_rate"), ("type_weights", "indel_fraction"))
"""Of each pair exactly one is set; setting one in the file takes the preset's other away."""

_QUALITY = re.compile(r"none|fixed:(\d{1,2})|binned:\[(\d{1,2}(?:,\d{1,2}){0,15})\]")


def _error_rate(value: object) -> float | str:
    if value == "from_quality" and isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise PydanticCustomError("error_rate", "input should be a probability from 0 to 1, or from_quality")


def _quality_model(value: object) -> str:
    if isinstance(value, str) and _QUALITY.fullmatch(text := value.replace(" ", "")):
        bins = bins_of(text)
        if all(1 <= phred <= MAX_PHRED for phred in bins) and bins == sorted(set(bins)):
            return text
    raise PydanticCustomError(
        "quality_model",
        "input should be none, fixed:Q or binned:[Q,…], with up to 16 rising Phred qualities from 1 to {most}",
        {"most": MAX_PHRED},
    )


def bins_of(quality_model: str) -> list[int]:
    """The Phred qualities that bases can get; none for ``none``."""
    return [int(digits) for digits in re.findall(r"\d+", quality_model)]


Lengths = Annotated[list[Annotated[int, Field(ge=1, le=49)]], Field(min_length=2, max_length=2)]
"""Least and most bases, both included; below 50, where structural variants begin."""

_BENCH_WEIGHTS: dict[VariantKind, float] = {"snv": 0.50, "ins": 0.15, "del": 0.15, "mnv": 0.08, "dup": 0.08, "inv": 0.04}


class MutationConfig(Section):
    """How a reference window becomes a read. What is not given comes from the preset."""

    preset: Preset = "bench"
    read_length: Annotated[int, Field(ge=30, le=2000)] = 150
    gc_content: Annotated[float, Field(gt=0, lt=1)] | None = 0.41
    variants_per_read: Annotated[list[Fraction], Field(min_length=1, max_length=9)] | None = Field(default=[0.25, 0.35, 0.20, 0.20])
    mutation_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    type_weights: dict[VariantKind, Fraction] | None = Field(default=_BENCH_WEIGHTS)
    indel_fraction: Fraction | None = None
    ins_del_ratio: PositiveFloat = 1.0
    indel_extend_prob: Annotated[float, Field(ge=0, lt=1)] = 0.3
    max_indel_length: Annotated[int, Field(ge=1, le=49)] = 20
    titv_ratio: PositiveFloat = 2.1
    mnv_length: Lengths = Field(default=[2, 3])
    dup_length: Lengths = Field(default=[2, 12])
    inv_length: Lengths = Field(default=[4, 12])
    min_gap: Annotated[int, Field(ge=1, le=100)] = 10
    flank: Annotated[int, Field(ge=1, le=100)] = 10
    base_error_rate: Annotated[float | Literal["from_quality"], PlainValidator(_error_rate)] = 0.0
    quality_model: Annotated[str, PlainValidator(_quality_model)] = "none"
    quality_weights: Annotated[list[Fraction], Field(min_length=1, max_length=16)] | None = None
    low_complexity_fraction: Fraction = 0.1
    n_rate: Fraction = 0.0
    strand_flip_prob: Fraction = 0.0

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: object) -> object:
        """Written into the model, so that a stored configuration holds every value and reads back as it was."""
        if not isinstance(data, dict):
            return data
        preset = data.get("preset", "bench")
        defaults = dict(PRESETS[preset]) if preset in ("bench", "wgsim", "human") else {}
        for pair in ALTERNATIVES:
            for key, other in (pair, pair[::-1]):
                if data.get(key) is not None:
                    defaults[other] = None
        if data.get("quality_model", defaults.get("quality_model")) != defaults.get("quality_model"):
            defaults["quality_weights"] = None  # they belong to the preset's own bins
        return {**defaults, **data}

    @field_validator("type_weights")
    @classmethod
    def _every_kind(cls, weights: dict[VariantKind, float] | None) -> dict[VariantKind, float] | None:
        """A kind that is left out has weight 0."""
        return None if weights is None else {kind: weights.get(kind, 0.0) for kind in KINDS}

    @model_validator(mode="after")
    def _possible(self) -> MutationConfig:
        for message in chain(_of_preset(self), _of_counts(self), _of_types(self), _of_lengths(self), _of_qualities(self), _of_room(self)):
            raise ValueError(message)
        return self

    def to_generator_json(self) -> str:
        """Every key that the generator reads, and no other: presets are this module's alone."""
        return json.dumps(self.model_dump(mode="json", exclude={"preset"}), separators=(",", ":"))

    @property
    def most_variants(self) -> int:
        """The most variants that a read must have room for; at a rate, those that do not fit are left out."""
        return 1 if self.variants_per_read is None else len(self.variants_per_read) - 1

    @property
    def longest_variant(self) -> int:
        """Bases of the window that one variant takes at most, wherever it could also be written."""
        weights = self.type_weights or {"snv": 1.0, "ins": self.indel_fraction or 0.0}
        indel, mnv, dup, inv = self.max_indel_length, self.mnv_length[1], self.dup_length[1], self.inv_length[1]
        longest = {"snv": 1, "ins": indel, "del": indel, "mnv": mnv, "dup": dup, "inv": inv}
        return max(longest[kind] for kind, weight in weights.items() if weight > 0)


def _one_of(model: MutationConfig, key: str, other: str, say: str) -> Iterator[str]:
    """The problem when both of two alternative keys are set, or neither. ``say``: what the keys determine."""
    found = getattr(model, other)
    if getattr(model, key) is None:
        if found is None:
            yield f"{key}: neither it nor {other} is set; exactly one of the two says {say}"
    elif found is not None:
        yield f"{other}: found {found} beside {key}; both say {say}: set one of the two and the other to null"


def _of_preset(model: MutationConfig) -> Iterator[str]:
    """A stored configuration holds every value of its preset; a file in which only the name was changed holds none of them."""
    of_preset = PRESETS[model.preset]
    if of_preset and all(getattr(model, key) != value for key, value in of_preset.items()):
        yield f"preset: {model.preset} has no effect, since each of its keys is set otherwise beside it; remove these keys, or the preset"


def _of_counts(model: MutationConfig) -> Iterator[str]:
    yield from _one_of(model, *ALTERNATIVES[0], "how many variants a read gets")
    if model.variants_per_read is not None and abs(sum(model.variants_per_read) - 1) > 1e-9:
        yield (
            "variants_per_read: the probabilities of 0, 1, 2, … variants must add up to 1; "
            f"found {sum(model.variants_per_read):.6g}; adjust one of them"
        )


def _of_types(model: MutationConfig) -> Iterator[str]:
    yield from _one_of(model, *ALTERNATIVES[1], "which variants there are")
    if model.type_weights is not None and not any(model.type_weights.values()):
        yield f"type_weights: all are 0; at least one weight of {', '.join(KINDS)} must be above 0"
    if model.type_weights is not None and model.ins_del_ratio != 1:
        yield (
            f"ins_del_ratio: found {model.ins_del_ratio} beside type_weights, whose ins and del say it already; "
            "remove it, or set indel_fraction in place of type_weights"
        )


def _of_lengths(model: MutationConfig) -> Iterator[str]:
    whys = {"mnv_length": "an MNV of one base is an SNV", "dup_length": "", "inv_length": "one base turned round is an SNV"}
    for key, why in whys.items():
        (low, high), least = getattr(model, key), 2 if why else 1
        if low > high:
            yield f"{key}: the shortest comes first, then the longest; found [{low}, {high}]; write [{high}, {low}]"
        if low < least:
            yield f"{key}: must begin at {least} or more, found [{low}, {high}]; {why}"


def _of_qualities(model: MutationConfig) -> Iterator[str]:
    bins = bins_of(model.quality_model)
    if model.base_error_rate == "from_quality" and not bins:
        yield (
            "base_error_rate: from_quality needs qualities, but quality_model is none; "
            "set quality_model to fixed:Q or binned:[Q,…], or base_error_rate to a probability"
        )
    if model.quality_weights is None:
        return
    if not model.quality_model.startswith("binned"):
        yield f"quality_weights: only a binned quality_model has weights, found {model.quality_model}; set quality_weights to null"
    if len(model.quality_weights) != len(bins):
        yield (
            f"quality_weights: found {len(model.quality_weights)} weights for the {len(bins)} qualities of {model.quality_model}; "
            "give one for each, or null for equal ones"
        )
    if not any(model.quality_weights):
        yield "quality_weights: all are 0; at least one weight must be above 0"


def _of_room(model: MutationConfig) -> Iterator[str]:
    most, longest = model.most_variants, model.longest_variant
    variants = "variant" if most == 1 else "variants"
    if 2 * model.flank + most * (longest + 2 * model.min_gap) > model.read_length:
        yield (
            f"read_length: {model.read_length} bases have no room for {most} {variants} of up to {longest} bases "
            f"with min_gap {model.min_gap} and flank {model.flank}; lengthen the read, or lower one of the others"
        )
