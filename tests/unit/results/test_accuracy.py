"""What the report says of how right a model is: independent of spelling, of sequencing errors, and of how reads were packed."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall
from helix_ray.config import Config
from helix_ray.records import Disposition, Read, ReadResult, Variant
from helix_ray.results.accuracy import Asked, Effort, accuracy, all_differences, scoring
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.scores import RunScores
from helix_ray.sources.synthetic import SyntheticSource
from support.scripted_results import scripted_results

Allele = tuple[int, str, str]
Spelling = Callable[[Allele], list[Allele]]


def reads(preset: str, count: int = 500) -> list[Read]:
    batch = SyntheticSource(Config.model_validate({"source": {"count": count, "batch_size": count, "mutation": {"preset": preset}}})).block(
        0
    )
    assert batch is not None
    return batch.rows()


def scored(answers: Sequence[tuple[Read, list[RawCall]]]) -> RunScores:
    scores = RunScores()
    for read, said in answers:
        calls = judge_calls(said, read.ref_seq)
        result = ReadResult(read, Disposition.STORED, mutation_detected=bool(calls), outcome="ok")
        scores.add(with_score(result, score_read(read, calls, None)))
    return scores


def as_one(allele: Allele) -> list[Allele]:
    return [allele]


def base_by_base(allele: Allele) -> list[Allele]:
    pos, ref, alt = allele
    if len(ref) != len(alt):
        return [allele]
    return [(pos + at, old, new) for at, (old, new) in enumerate(zip(ref, alt, strict=True)) if old != new]


def answers(spell: Spelling) -> Iterator[tuple[Read, list[RawCall]]]:
    """The same mistakes in either spelling: variants missed, misnamed, and stretches of one to three bases invented."""
    rng = random.Random(1)
    for read in reads("bench"):
        named: list[tuple[Allele, float]] = []
        for variant in read.truth or ():
            way, sure = rng.random(), rng.choice((0.4, 0.7, 0.95))
            wrong = variant.type in ("SNV", "MNV") and 0.1 < way < 0.25
            alt = (
                "".join(next(base for base in "ACGT" if base not in pair) for pair in zip(variant.ref, variant.alt, strict=True))
                if wrong
                else ""
            )
            if way > 0.1:
                named.append(((variant.pos, variant.ref, alt or variant.alt), sure))
        if rng.random() < 0.3:
            at, length = rng.randrange(1, 145), rng.randint(1, 3)
            ref = read.ref_seq[at - 1 : at - 1 + length]
            if all(abs(at - variant.pos) > 8 + len(variant.ref) for variant in read.truth or ()):
                named.append(((at, ref, ref.translate(str.maketrans("ACGT", "GTAC"))), 0.5))
        yield read, [RawCall(*allele, sure) for whole, sure in named for allele in spell(whole)]


def tables(scores: RunScores) -> dict[str, Any]:
    made: dict[str, Any] = {**scoring(scores, Asked("indexed10", None, "unassisted"), Effort(1.0, 10, 1.0, None, None, None, None))}
    return {"accuracy": accuracy(scores), **{key: made[key] for key in ("by", "reads", "mistakes", "off_by", "confusion", "confidence")}}


def test_an_mnv_called_base_by_base_gives_the_tables_of_one_called_as_one() -> None:
    one, apart = tables(scored([*answers(as_one)])), tables(scored([*answers(base_by_base)]))
    assert one == apart
    mnv, whole = one["accuracy"]["MNV"], one["accuracy"]["ALL"]
    assert min(mnv["tp"], mnv["fp_allele"], whole["fn_allele"]) > 5
    assert 0 < mnv["f1"] < 1
    last = one["confidence"]["curve"][-1]
    assert (last["recall"], last["precision"]) == (whole["recall"], whole["precision"]), "the curve ends where the table stands"


def as_seen(read: Read) -> list[Allele]:
    """Substitutions that touch as one, as an aligner would name them."""
    made: list[Allele] = []
    for pos, ref, alt in sorted(variant[:3] for variant in (*(read.truth or ()), *(read.errors or ()))):
        if made and len(ref) == len(alt) and len(made[-1][1]) == len(made[-1][2]) and made[-1][0] + len(made[-1][1]) == pos:
            made[-1] = (made[-1][0], made[-1][1] + ref, made[-1][2] + alt)
        else:
            made.append((pos, ref, alt))
    return made


def as_made(read: Read) -> list[Allele]:
    return [variant[:3] for variant in (*(read.truth or ()), *(read.errors or ()))]


@pytest.mark.parametrize("preset", ["human", "wgsim"])
@pytest.mark.parametrize("name", [as_made, as_seen])
def test_who_names_every_difference_is_right_in_the_headline(preset: str, name: Callable[[Read], list[Allele]]) -> None:
    scores = scored([(read, [RawCall(*allele, 0.9) for allele in name(read)]) for read in reads(preset)])
    found, mutations = all_differences(scores), accuracy(scores)["ALL"]
    assert found is not None
    assert (found["ALL"]["recall"], found["ALL"]["precision"], found["ALL"]["f1"]) == (1.0, 1.0, 1.0)
    assert found["ALL"]["tp"] > mutations["tp"] > 0
    assert mutations["precision"] is not None
    assert mutations["precision"] < 0.5, "it measures the error rate"
    assert (scores.reads.described, scores.reads.reads) == (500, 500)


def test_without_sequencing_errors_there_is_one_headline() -> None:
    assert all_differences(scored([*answers(as_one)])) is None


def test_what_only_the_errors_miss_counts_in_the_headline_alone() -> None:
    (read,) = reads("bench", 1)
    errors = (Variant(2, read.ref_seq[1], "A" if read.ref_seq[1] != "A" else "C", "SNV", "snv"),)
    silent = scored([(read._replace(errors=errors), [RawCall(*variant[:3], 0.9) for variant in read.truth or ()])])
    found = all_differences(silent)
    assert found is not None
    assert (found["ALL"]["fn"], accuracy(silent)["ALL"]["fn"]) == (1, 0)


def test_reads_of_one_request_are_one_cluster() -> None:
    results = [replace(result, call_id=f"call {result.read.read_index // 5}") for result in scripted_results()]
    apart, packed = RunScores(), RunScores(packed=True)
    for result in random.Random(2).sample(results, len(results)):
        apart.add(result)
        packed.add(result)
    assert (sum(apart.read_profiles.values()), sum(packed.read_profiles.values())) == (500, 100)
    assert {profile.reads for profile, times in packed.read_profiles.items() if times} == {5}
    for kind, profiles in packed.profiles.items():
        assert sum(profile.tp * times for profile, times in profiles.items()) == sum(
            profile.tp * times for profile, times in apart.profiles[kind].items()
        )
    assert accuracy(packed)["ALL"]["clusters"] == 100
    assert {**accuracy(packed)["ALL"], "ci": None}["f1"] == accuracy(apart)["ALL"]["f1"]
