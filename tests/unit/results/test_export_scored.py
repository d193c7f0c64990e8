"""The VCF files of a run's results, read back with htslib."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pysam
import pytest

from helix_ray.analysis.prompts.template import get_prompt
from helix_ray.config.loading import parse_config
from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.results.export import Format
from helix_ray.results.export.records import SIMULATED
from helix_ray.results.export.vcf import has_window, phred, valid_calls
from helix_ray.results.provenance import COLUMNS
from support.exported_results import ORIGIN, exported, records
from support.scored_results import scored_results

RESULTS = [replace(found, read=found.read._replace(read_id=f"hx{found.read.read_index}")) for found in scored_results(240)]
KEPT = [result for result in RESULTS if has_window(result)]
SNV = Variant(3, "G", "T", "SNV", "snv", 1, None, "tv")
INS = Variant(5, "A", "ACC", "INS", "ins", 2)
READ = Read(7, "hx7", "hx7", 0, "+", "ACGTACGTAC", "ACTTACCCGTAC", None, (SNV, INS), True, None, None, None, errors=())


def result(*rows: ScoredVariant, read: Read = READ, **changes: object) -> ReadResult:
    return replace(ReadResult(read, Disposition.STORED, list(rows)), **changes)  # type: ignore[arg-type]


def truth(variant: Variant, match: str, detail: str) -> ScoredVariant:
    return ScoredVariant("truth", *variant[:5], None, None, match, None, detail)


def call(pos: int, ref: str, alt: str, kind: str | None, match: str | None, detail: str | None, **more: object) -> ScoredVariant:
    row = ScoredVariant("call", pos, ref, alt, kind, None, 0.9, "ok", match, None, detail)
    return row._replace(**more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("vcf")
    exported(made, RESULTS, Format.CALLS_VCF, Format.GA4GH)
    return made


def test_calls_are_those_of_any_caller(tmp_path: Path) -> None:
    rows = [
        call(9, "A", "C", "SNV", "FP", "near", confidence=1.0, off_by=-2),
        call(3, "G", "T", "SNV", "TP", "allele", confidence=None),
        call(3, "T", "A", "SNV", "FP", "invented", outcome="ref_mismatch", reason="the window has G"),
    ]
    exported(tmp_path, [result(*rows)], Format.CALLS_VCF)
    found = [
        (r.chrom, r.pos, r.ref, r.alts, r.qual, r.filter.keys(), r.samples["QUERY"]["GT"], dict(r.info))
        for r in records(tmp_path / "calls.vcf.gz")
    ]
    first = {"TYPE": "SNV", "RID": "hx7", "MATCH": "TP", "DETAIL": "allele"}
    second = {"TYPE": "SNV", "RID": "hx7", "CONF": 1.0, "MATCH": "FP", "DETAIL": "near", "OFF_BY": -2}
    assert found == [
        ("hx7", 3, "G", ("T",), None, ["PASS"], (1,), first),
        ("hx7", 9, "A", ("C",), 99.0, ["PASS"], (1,), second),
    ]
    (invalid,) = map(json.loads, (tmp_path / "calls_invalid.jsonl").read_text().splitlines())
    assert [invalid.pop(name) for name in COLUMNS] == [
        "run-1", "demo", "emulator", "openai/gpt-oss-20b", "indexed10", get_prompt("indexed10").sha256, "unassisted",
    ]  # fmt: skip
    assert invalid == {
        **{"simulated": True, "read_index": 7, "read_id": "hx7", "side": "call", "pos": 3, "ref": "T", "alt": "A", "type": "SNV"},
        **{"event": None, "confidence": 0.9, "outcome": "ref_mismatch", "match": "FP", "reason": "the window has G"},
        **{"detail": "invented", "off_by": None, "baseline": None, "all_match": None, "subtype": "tv"},
    }


def test_calls_and_invalid_calls_are_all_calls(folder: Path) -> None:
    written = Counter((r.info["RID"], r.pos, r.ref, r.alts[0]) for r in records(folder / "calls.vcf.gz") if r.alts)
    assert written == Counter((kept.read.read_id, *row[1:4]) for kept in KEPT for row in valid_calls(kept))
    invalid = [json.loads(line) for line in (folder / "calls_invalid.jsonl").read_text().splitlines()]
    calls = Counter(row.outcome for found in RESULTS for row in found.variants if row.side == "call")
    assert {outcome: calls[outcome] for outcome in calls if outcome != "ok"} == Counter(row["outcome"] for row in invalid)
    manifest = exported_manifest(folder)
    assert manifest["results"]["calls_by_outcome"] == calls
    assert manifest["results"]["reads"] == len(RESULTS) == manifest["counts"]["reads"] + sum(manifest["counts"]["left_out"].values())


def exported_manifest(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    manifest: dict[str, dict[str, dict[str, int]]] = json.loads((folder / "manifest.json").read_text())
    return manifest


@pytest.mark.parametrize(
    ("confidence", "qual"), [(0.0, "0.00"), (0.9, "10.00"), (0.999, "30.00"), (1.0, "99.00"), (1 - 1e-12, "99.00"), (None, ".")]
)
def test_confidence_as_phred(confidence: float | None, qual: str) -> None:
    assert phred(confidence) == qual


def test_truth_and_calls_stand_side_by_side_with_their_decisions(tmp_path: Path) -> None:
    rows = [
        truth(SNV, "TP", "allele"),
        truth(INS, "FN", "near"),
        call(7, "G", "GCC", "INS", "FP", "near", off_by=2),
        call(3, "G", "T", "SNV", "TP", "allele", confidence=0.99),
        call(9, "A", "C", "SNV", "FP", "error"),
        call(3, "G", "T", "SNV", None, None, outcome="duplicate"),
    ]
    failed = result(
        truth(SNV, "FN", "failed"), read=READ._replace(read_index=9, read_id="hx9", contig="hx9"), disposition=Disposition.DEAD_LETTER
    )
    exported(tmp_path, [result(*rows, capped=True), failed], Format.GA4GH)
    found = [(r.pos, r.ref, r.alts, r.info["BS"], bool(r.info.get("CAPPED")), sides(r)) for r in records(tmp_path / "scored.vcf.gz")]
    absent = (None, None, None, None, None, None)
    assert found == [
        (3, "G", ("T",), 7, True, [(1, "TP", "am", "tv", None, "allele"), (1, "TP", "am", "tv", 20.0, "allele")]),
        (5, "A", ("ACC",), 7, True, [(1, "FN", "lm", "i1_5", None, "near"), absent]),
        (7, "G", ("GCC",), 7, True, [absent, (1, "FP", "lm", "i1_5", 10.0, "near")]),
        (9, "A", ("C",), 7, True, [absent, (1, "FP", None, "tv", 10.0, "error")]),
        (3, "G", ("T",), 9, False, [(1, "FN", None, "tv", None, "failed"), absent]),
    ]


def sides(record: pysam.VariantRecord) -> list[tuple[object, ...]]:
    samples = (record.samples["TRUTH"], record.samples["QUERY"])
    return [
        (sample["GT"][0], *(sample[key] if sample[key] != "." else None for key in ("BD", "BK", "BI", "QQ", "HD"))) for sample in samples
    ]


def test_the_decisions_are_those_of_the_results(folder: Path) -> None:
    scored = [kept for kept in KEPT if kept.read.truth is not None]
    rows = [(kept, row) for kept in scored for row in kept.variants if row.side == "truth" or row in valid_calls(kept)]
    expected = Counter((kept.read.read_index, row.side, *row[1:4], row.match, row.detail) for kept, row in rows)
    found: Counter[tuple[object, ...]] = Counter()
    for record in records(folder / "scored.vcf.gz"):
        assert record.alts is not None
        for side, (genotype, decision, *_, detail) in zip(("truth", "call"), sides(record), strict=True):
            if genotype is not None:
                found[record.info["BS"], side, record.pos, record.ref, record.alts[0], decision, detail] += 1
    assert found == expected
    assert {"haplotype", "allele", "near", "failed", "error", "invented", "missed"} == {key[-1] for key in found}


def test_files_are_indexed_sorted_and_say_what_is_simulated(folder: Path) -> None:
    last = KEPT[-1].read
    for name, samples in (("calls.vcf.gz", ["QUERY"]), ("scored.vcf.gz", ["TRUTH", "QUERY"])):
        with pysam.VariantFile(str(folder / name)) as file:
            assert list(file.header.samples) == samples
            assert f"##simulated={SIMULATED}\n" in str(file.header)
            places = [(record.rid, record.pos) for record in file]
            assert places == sorted(places)
            assert file.header.contigs[last.read_id].length == len(last.ref_seq)
            assert all(record.chrom == last.read_id for record in file.fetch(last.read_id))


def test_on_a_reference_results_are_sorted_by_its_contigs(tmp_path: Path) -> None:
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">chrB\nACGTACGTACACGTACGTACACGTACGTAC\n>chrA\nACGTACGTAC\n")
    out = tmp_path / "out"
    out.mkdir()
    origin = replace(ORIGIN, config=parse_config({"source": {"count": 3, "reference": str(fasta)}}, "test"), simulated=False)
    places = (("chrA", 0), ("chrB", 20), ("chrB", 10))
    rows = (truth(SNV, "FN", "missed"), call(9, "A", "C", "SNV", "FP", "invented"))
    reads = [READ._replace(read_index=index, contig=contig, ref_start=start) for index, (contig, start) in enumerate(places)]
    exported(out, [result(*rows, read=read) for read in reads], Format.CALLS_VCF, Format.GA4GH, origin=origin, on_reference=True)
    assert [(r.chrom, r.pos) for r in records(out / "calls.vcf.gz")] == [("chrB", 19), ("chrB", 29), ("chrA", 9)]
    found = [(r.chrom, r.pos, r.info["BS"]) for r in records(out / "scored.vcf.gz")]
    assert found == [("chrB", 13, 2), ("chrB", 19, 2), ("chrB", 23, 1), ("chrB", 29, 1), ("chrA", 3, 0), ("chrA", 9, 0)]
    with pysam.VariantFile(str(out / "calls.vcf.gz")) as file:
        assert "##simulated" not in str(file.header)


def test_real_reads_have_calls_and_no_verdict(tmp_path: Path) -> None:
    origin = replace(ORIGIN, config=parse_config({"source": {"kind": "pairs", "path": "x.tsv", "count": None}}, "test"))
    read = READ._replace(truth=None, errors=None, source="pairs")
    exported(tmp_path, [result(call(3, "G", "T", "SNV", None, None), read=read)], Format.CALLS_VCF, origin=origin)
    (found,) = records(tmp_path / "calls.vcf.gz")
    assert (found.chrom, {"MATCH", "DETAIL"} & set(found.info)) == ("read7", set())
    assert found.qual is not None
    assert math.isclose(found.qual, 10.0)
