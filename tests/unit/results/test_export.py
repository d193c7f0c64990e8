"""Exports of a few reads, read back with htslib."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest

from helix_ray.config import Config
from helix_ray.config.loading import parse_config
from helix_ray.errors import InputError
from helix_ray.records import Disposition, Read, Variant
from helix_ray.results.export import Export, Format, Origin, new_folder

SNV = Variant(3, "G", "T", "SNV", "snv", 1, "hx0:2:G:T", "tv")
DUP = Variant(5, "A", "AC", "INS", "dup", 1, "hx1:5:C:CC", None)
ERROR = Variant(9, "A", "C", "SNV", "snv", 1, "hx1:8:A:C", "tv")


def read(index: int, window: str, seq: str, truth: tuple[Variant, ...], **more: object) -> Read:
    clean = Read(index, f"hx{index}", f"hx{index}", 0, "+", window, seq, None, truth, True, None, None, None, errors=())
    return clean._replace(**more)  # type: ignore[arg-type]


READS = [
    read(0, "ACGTACGTAC", "ACTTACGTAC", (SNV,)),
    read(1, "ACGTACGTAC", "ACGTACCGTCC", (DUP,), errors=(ERROR,), qual="ABCDEFGHIJK", strand="-", identifiable=False),
    read(2, "ACGTACGTAC", "ACGTACGTAC", ()),
]


def config(**source: object) -> Config:
    return parse_config({"source": {"count": 3, "mutation": {"flank": 2, "min_gap": 2}, **source}}, "test")


def export(folder: Path, *formats: Format, of: Config | None = None, on_reference: bool = False) -> dict[str, object]:
    with Export(folder, formats or Format.fitting(config()), Origin(of or config(), "2", "run-1"), on_reference=on_reference) as target:
        target.add(READS[:2])
        target.add(READS[2:])
        return target.finish()


def records(path: Path) -> Iterator[pysam.VariantRecord]:
    with pysam.VariantFile(str(path)) as file:
        yield from file


def test_the_truth_is_indexed_vcf_with_a_contig_for_each_window(tmp_path: Path) -> None:
    export(tmp_path)
    found = [(r.chrom, r.pos, r.ref, r.alts, r.samples[0]["GT"], dict(r.info)) for r in records(tmp_path / "truth.vcf.gz")]
    first = {"TYPE": "SNV", "EVENT": "snv", "LEN": 1, "RID": "hx0", "SPDI": "hx0:2:G:T", "IDENT": True}
    second = {"TYPE": "INS", "EVENT": "dup", "LEN": 1, "RID": "hx1", "SPDI": "hx1:5:C:CC"}
    assert found == [("hx0", 3, "G", ("T",), (1,), first), ("hx1", 5, "A", ("AC",), (1,), second)]
    with pysam.VariantFile(str(tmp_path / "truth.vcf.gz")) as file:
        assert [(c.name, c.length) for c in file.header.contigs.values()] == [("hx0", 10), ("hx1", 10), ("hx2", 10)]
        assert file.header.version == "VCFv4.3"
        assert [r.pos for r in file.fetch("hx1", 0, 10)] == [5]  # by the index
    assert [(r.chrom, r.pos, r.alts) for r in records(tmp_path / "errors.vcf.gz")] == [("hx1", 9, ("C",))]


def test_reads_are_written_as_they_were_sequenced(tmp_path: Path) -> None:
    export(tmp_path)
    with pysam.FastxFile(str(tmp_path / "reads.fastq.gz")) as file:
        found = [(r.name, r.sequence, r.quality) for r in file]
    assert found == [("hx0", "ACTTACGTAC", "I" * 10), ("hx1", "GGACGGTACGT", "KJIHGFEDCBA"), ("hx2", "ACGTACGTAC", "I" * 10)]


def test_windows_are_an_indexed_reference_and_regions_are_whole_windows(tmp_path: Path) -> None:
    export(tmp_path)
    with pysam.FastaFile(str(tmp_path / "reference.fa")) as fasta:
        assert fasta.fetch("hx1", 2, 6) == "GTAC"
        assert list(fasta.references) == ["hx0", "hx1", "hx2"]
    assert (tmp_path / "regions.bed").read_text().splitlines()[1] == "hx1\t0\t10\thx1"


def test_the_manifest_counts_and_proves_what_was_written(tmp_path: Path) -> None:
    returned = export(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest == returned
    assert manifest["counts"] == {
        "reads": 3,
        "bases": 31,
        "without_qualities": 2,
        "with_known_truth": 3,
        "identifiable": 2,
        "variants": 2,
        "sequencing_errors": 1,
        "variants_per_read": {"0": 1, "1": 2},
        "by_type": {"INS": 1, "SNV": 1},
        "by_event": {"dup": 1, "snv": 1},
        "titv": {"tv": 1},
        "left_out": {},
    }
    assert set(manifest["files"]) == {path.name for path in tmp_path.iterdir()} - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (tmp_path / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_on_a_reference_variants_are_sorted_by_its_contigs(tmp_path: Path) -> None:
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">chrB\nACGTACGTACACGTACGTACACGTACGTAC\n>chrA\nACGTACGTAC\n")
    moved = [
        READS[0]._replace(contig="chrA"),
        READS[1]._replace(contig="chrB", ref_start=20),
        READS[0]._replace(contig="chrB", ref_start=10, read_index=2),
    ]
    folder = tmp_path / "out"
    folder.mkdir()
    formats = (Format.TRUTH_VCF, Format.REFERENCE, Format.BED)
    with Export(folder, formats, Origin(config(reference=str(fasta)), "2"), on_reference=True) as target:
        target.add(moved)
        target.finish()
    assert [(r.chrom, r.pos) for r in records(folder / "truth.vcf.gz")] == [("chrB", 13), ("chrB", 25), ("chrA", 3)]
    assert (folder / "reference.fa").read_text() == fasta.read_text()
    assert (folder / "regions.bed").read_text().splitlines() == ["chrB\t10\t20\thx0", "chrB\t20\t30\thx1", "chrA\t0\t10\thx0"]


def test_reads_of_a_file_have_no_truth_to_export(tmp_path: Path) -> None:
    of_file = config(kind="pairs", path="pairs.tsv", count=None)
    with pytest.raises(InputError, match=r"--format truth-vcf: the true variants of reads from a file are not known; .* fastq, reference"):
        Export(tmp_path, [Format.TRUTH_VCF, Format.FASTQ], Origin(of_file, "2"))
    assert Format.fitting(of_file) == [Format.FASTQ, Format.REFERENCE]
    with pytest.raises(InputError, match="--coordinates reference: the windows were not cut from a reference"):
        Export(tmp_path, [Format.FASTQ], Origin(config(), "2"), on_reference=True)


def test_an_empty_export_is_refused(tmp_path: Path) -> None:
    with Export(tmp_path, [Format.FASTQ], Origin(config(), "2")) as target, pytest.raises(InputError, match="nothing to export"):
        target.finish()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "out"
    with pytest.raises(ZeroDivisionError), new_folder(target, force=False) as folder:
        (folder / "x").write_text("1")
        raise ZeroDivisionError
    assert list((tmp_path / "a").iterdir()) == []
    with new_folder(target, force=False) as folder:
        (folder / "x").write_text("1")
    assert [path.name for path in target.iterdir()] == ["x"]
    with pytest.raises(InputError, match="is not empty; pass --force"), new_folder(target, force=False):
        pass
    with pytest.raises(InputError, match="is not an earlier export"), new_folder(target, force=True):
        pass
    assert [path.name for path in target.iterdir()] == ["x"]
    (target / "manifest.json").write_text("{}")
    with new_folder(target, force=True) as folder:
        (folder / "y").write_text("2")
    assert [path.name for path in target.iterdir()] == ["y"]
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_the_working_directory_and_links_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for target, message in ((tmp_path, "is not an earlier export"), (tmp_path / "link", "is a link")):
        with pytest.raises(InputError, match=message), new_folder(target, force=True):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "manifest.json"]


def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"writing failed \(\[Errno 28\].*disk full"), new_folder(tmp_path / "out", force=False):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_damaged_reads_are_counted_and_not_written(tmp_path: Path) -> None:
    damaged = READS[1]._replace(truth=None, disposition=Disposition.DEAD_LETTER)
    filtered = READS[2]._replace(disposition=Disposition.FILTERED)
    with Export(tmp_path, [Format.FASTQ], Origin(config(), "2")) as target:
        target.add([READS[0], damaged, filtered])
        counts = target.finish()["counts"]
    assert (counts["reads"], counts["left_out"]) == (2, {"dead_letter": 1})
    with pysam.FastxFile(str(tmp_path / "reads.fastq.gz")) as file:
        assert [record.name for record in file] == ["hx0", "hx2"]


def test_names_that_vcf_cannot_hold(tmp_path: Path) -> None:
    odd = Variant(3, "G", "T", "SNV", "snv", 1, "chr;x=1,%:2:G:T", "tv")
    with Export(tmp_path, [Format.TRUTH_VCF], Origin(config(), "2")) as target:
        target.add([READS[0]._replace(truth=(odd,))])
        target.finish()
    assert next(records(tmp_path / "truth.vcf.gz")).info["SPDI"] == "chr%3Bx%3D1%2C%25:2:G:T"
    with Export(tmp_path, [Format.TRUTH_VCF], Origin(config(), "2")) as target, pytest.raises(InputError, match="VCF allows no such name"):
        target.add([READS[0]._replace(read_id="<b>")])
