"""What other tools of the field say of our normal forms, our truth and our files. Each of them computes it its own way."""

import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pysam
import pytest
from bioutils.normalize import NormalizationMode
from bioutils.normalize import normalize as bioutils_normalize

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.config.loading import parse_config
from helix_ray.emulator.scripted_model import ScriptedModel
from helix_ray.native import rust
from helix_ray.records import Read
from helix_ray.results.export import Export, Format, Origin
from helix_ray.scoring.score import score_read
from helix_ray.sources import generator_version, make_source

VARIANTS = 20_000
Allele = tuple[int, str, str]  # 1-based in the window, as VCF


def tool(*arguments: object) -> str:
    """Runs a program; what it printed. Its failure is the test's, with its words."""
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments[0]}: {done.stderr[-2000:]}"
    return done.stdout


def window(rng: random.Random) -> str:
    """Every second one is of few short units, so that an indel has many places."""
    if rng.random() < 0.5:
        return "".join(rng.choices("ACGT", k=80))
    text = ""
    while len(text) < 80:
        text += "".join(rng.choices("ACGT", k=rng.randint(1, 4))) * rng.randint(2, 12)
    return text[:80]


def written_anyhow(rng: random.Random, bases: str) -> Allele:
    """A variant with needless bases at both ends and an indel at a random one of its places. Never at the window's first base."""
    start = rng.randint(12, 60)
    deleted = bases[start : start + rng.choice((0, 1, 1, 1, 2, 3, 6))]
    inserted = rng.choice(("", rng.choice("ACGT"), "".join(rng.choices("ACGT", k=3)), bases[start : start + rng.randint(1, 6)]))
    before, after = rng.randint(1, 4), rng.randint(0, 4)
    end = start + len(deleted)
    ref = bases[start - before : end + after]
    return start - before + 1, ref, bases[start - before : start] + inserted + bases[end : end + after]


@pytest.fixture(scope="module")
def cases() -> list[tuple[str, Allele]]:
    rng = random.Random(20_000)
    found: list[tuple[str, Allele]] = []
    while len(found) < VARIANTS:
        bases = window(rng)
        allele = written_anyhow(rng, bases)
        if allele[1] != allele[2]:
            found.append((bases, allele))
    return found


@pytest.fixture(scope="module")
def case_files(cases: Sequence[tuple[str, Allele]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cases")
    fasta, vcf = folder / "windows.fa", folder / "written.vcf"
    fasta.write_text("".join(f">w{i}\n{bases}\n" for i, (bases, _) in enumerate(cases)))
    tool("samtools", "faidx", fasta)
    contigs = "".join(f"##contig=<ID=w{i},length={len(bases)}>\n" for i, (bases, _) in enumerate(cases))
    lines = "".join(f"w{i}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\n" for i, (_, (pos, ref, alt)) in enumerate(cases))
    vcf.write_text(f"##fileformat=VCFv4.3\n{contigs}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{lines}")
    return fasta, vcf


def alleles(text: str) -> dict[str, Allele]:
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: (int(row[1]), row[3], row[4]) for row in rows}


@pytest.mark.debian
@pytest.mark.parametrize("program", ["bcftools", "vt"])
def test_the_normaliser_agrees_with(program: str, cases: Sequence[tuple[str, Allele]], case_files: tuple[Path, Path]) -> None:
    fasta, vcf = case_files
    if program == "bcftools":
        theirs = alleles(tool("bcftools", "norm", "-f", fasta, "-c", "e", vcf))
    else:
        theirs = alleles(tool("vt", "normalize", "-r", fasta, vcf))
    ours = {f"w{i}": rust.normalize(bases, *allele)[:3] for i, (bases, allele) in enumerate(cases)}
    different = [(name, cases[int(name[1:])], ours[name], theirs.get(name)) for name in ours if ours[name] != theirs.get(name)]
    assert len(theirs) == VARIANTS
    assert not different, different[:5]


def test_the_fully_justified_interval_agrees_with_bioutils(cases: Sequence[tuple[str, Allele]]) -> None:
    for bases, (pos, ref, alt) in cases:
        interval, expanded = bioutils_normalize(bases, (pos - 1, pos - 1 + len(ref)), (None, alt), mode=NormalizationMode.EXPAND)
        start, deleted, inserted = rust.justify(bases, pos, ref, alt)
        assert (start, start + len(deleted)) == interval, (bases, pos, ref, alt)
        assert (deleted, inserted) == expanded, (bases, pos, ref, alt)


READS = 3000


def synthetic(reference: Path | None = None, **mutation: object) -> Config:
    source = {"count": READS, "batch_size": 500, "mutation": mutation, **({} if reference is None else {"reference": str(reference)})}
    return parse_config({"source": source}, "test")


def reads_of(config: Config) -> Iterator[Read]:
    source = make_source(config)
    for index in range(READS // config.source.batch_size):
        batch = source.block(index)
        assert batch is not None
        yield from batch.rows()


def exported(config: Config, folder: Path, *formats: Format, on_reference: bool = False) -> list[Read]:
    reads = list(reads_of(config))
    with Export(folder, formats or Format.fitting(config), Origin(config, generator_version()), on_reference=on_reference) as export:
        export.add(reads)
        export.finish()
    return reads


@pytest.mark.debian
@pytest.mark.parametrize("mutation", [{"preset": "bench"}, {"preset": "human", "mutation_rate": 0.01}], ids=["bench", "human"])
def test_bcftools_finds_nothing_to_normalise_and_rebuilds_every_identifiable_read(mutation: dict[str, object], tmp_path: Path) -> None:
    reads = exported(synthetic(**mutation), tmp_path)
    fasta = tmp_path / "reference.fa"
    for name in ("truth.vcf.gz", "errors.vcf.gz"):
        done = subprocess.run(["bcftools", "norm", "-c", "e", "-f", fasta, tmp_path / name], capture_output=True, text=True, check=True)
        counts = re.search(r"total/split/realigned/skipped:\s*(\d+)/(\d+)/(\d+)/(\d+)", done.stderr)
        assert counts is not None, done.stderr
        assert tuple(map(int, counts.groups()[1:])) == (0, 0, 0)
        assert alleles_of(tmp_path / name) == alleles_by_contig(done.stdout)
    # Truth and errors together are the whole difference between window and read.
    tool("bcftools", "concat", "-a", "-Oz", "-o", tmp_path / "all.vcf.gz", *renamed(tmp_path))
    tool("tabix", "-p", "vcf", tmp_path / "all.vcf.gz")
    rebuilt = fasta_records(tool("bcftools", "consensus", "-f", fasta, tmp_path / "all.vcf.gz"))
    identifiable = [read for read in reads if read.identifiable]
    assert len(identifiable) > READS / 10
    wrong = [read.read_id for read in identifiable if rebuilt[read.read_id] != read.seq]
    assert not wrong, wrong[:5]


def renamed(folder: Path) -> list[Path]:
    """Both files under one sample name, which concat asks for."""
    made = []
    for name in ("truth", "errors"):
        target = folder / f"{name}.one.vcf.gz"
        names = folder / "sample"
        names.write_text("READ\n")
        tool("bcftools", "reheader", "-s", names, "-o", target, folder / f"{name}.vcf.gz")
        tool("tabix", "-p", "vcf", target)
        made.append(target)
    return made


def alleles_by_contig(text: str) -> list[tuple[str, Allele]]:
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return [(row[0], (int(row[1]), row[3], row[4])) for row in rows]


def alleles_of(path: Path) -> list[tuple[str, Allele]]:
    with pysam.BGZFile(str(path), "rb", None) as file:
        return alleles_by_contig(file.read().decode())


def fasta_records(text: str) -> dict[str, str]:
    parts = (part.split("\n", 1) for part in text.split(">")[1:])
    return {header.split()[0]: bases.replace("\n", "") for header, bases in parts}


@pytest.mark.debian
def test_on_a_reference_the_truth_contradicts_it_nowhere(tmp_path: Path) -> None:
    genome, folder, rng = tmp_path / "genome.fa", tmp_path / "out", random.Random(3)
    contigs = {name: "".join(window(rng) for _ in range(length // 80)) for name, length in (("b", 40_000), ("a", 9_040), ("short", 80))}
    genome.write_text("".join(f">{name}\n{bases[:3000].lower()}{bases[3000:]}\n" for name, bases in contigs.items()))
    folder.mkdir()
    reads = exported(synthetic(genome, preset="human", mutation_rate=0.01), folder, on_reference=True)
    assert {read.contig for read in reads} == {"a", "b"}
    done = subprocess.run(
        ["bcftools", "norm", "-c", "e", "-f", genome, folder / "truth.vcf.gz"], capture_output=True, text=True, check=True
    )
    assert len(alleles_of(folder / "truth.vcf.gz")) == sum(len(read.truth or ()) for read in reads) > READS / 2
    realigned = re.search(r"total/split/realigned/skipped:\s*\d+/0/(\d+)/0", done.stderr)
    assert realigned is not None, done.stderr
    assert realigned[1] == "0"
    assert fasta_records((folder / "reference.fa").read_text()) == contigs


CS = re.compile(r":(\d+)|\*([acgtn])([acgtn])|\+([acgtn]+)|-([acgtn]+)")


def calls_of(bases: str, start: int, cs: str) -> list[Allele]:
    """minimap2's difference string as normalised calls; adjacent substitutions are one MNV."""
    at, pending = start, [0, "", ""]
    found: list[Allele] = []

    def flush() -> None:
        if pending[1]:
            found.append(rust.normalize(bases, pending[0], pending[1], pending[2])[:3])
        pending[:] = [0, "", ""]

    for same, ref, alt, inserted, deleted in CS.findall(cs):
        if ref:
            if not pending[1]:
                pending[0] = at + 1
            pending[1] += ref.upper()
            pending[2] += alt.upper()
            at += 1
            continue
        flush()
        if same:
            at += int(same)
        elif inserted:
            anchor = bases[at - 1]
            found.append(rust.normalize(bases, at, anchor, anchor + inserted.upper())[:3])
        else:
            anchor = bases[at - 1]
            found.append(rust.normalize(bases, at, anchor + deleted.upper(), anchor)[:3])
            at += len(deleted)
    flush()
    return found


def minimap2_calls(reads: dict[str, Read], folder: Path, *options: str) -> dict[str, set[Allele]]:
    """The calls of every read that was aligned to its own window."""
    found: dict[str, set[Allele]] = {name: set() for name in reads}
    paf = tool("minimap2", "-c", "--cs", *options, folder / "reference.fa", folder / "reads.fastq.gz")
    for fields in (line.split("\t") for line in paf.splitlines()):
        if fields[0] == fields[5]:
            cs = next(field[5:] for field in fields[12:] if field.startswith("cs:Z:"))
            found[fields[0]] |= set(calls_of(reads[fields[0]].ref_seq, int(fields[7]), cs))
    return found


def applied(read: Read, calls: set[Allele]) -> str:
    """The window with the calls put in; they do not overlap."""
    bases = read.ref_seq
    for pos, ref, alt in sorted(calls, reverse=True):
        bases = bases[: pos - 1] + alt + bases[pos - 1 + len(ref) :]
    return bases


@pytest.mark.debian
def test_minimap2_calls_what_was_injected(tmp_path: Path) -> None:
    """With three variants a read, 20 bases from the ends. Inversions are left out, since an alignment cannot name one.

    The preset sr opens gaps so reluctantly that it writes some insertions with a deletion near by as a row of substitutions:
    another description of the same read, so its precision is that of reads rebuilt, as benchmarks match haplotypes.
    """
    weights = {"snv": 0.55, "ins": 0.2, "del": 0.2, "mnv": 0.0, "dup": 0.05, "inv": 0.0}
    config = synthetic(
        variants_per_read=[0.0, 0.0, 0.0, 1.0], type_weights=weights, flank=20, max_indel_length=15, low_complexity_fraction=0.0
    )
    reads = {read.read_id: read for read in exported(config, tmp_path, Format.FASTQ, Format.REFERENCE) if read.identifiable}
    truths = {name: {variant[:3] for variant in read.truth or ()} for name, read in reads.items()}
    injected = sum(map(len, truths.values()))
    assert injected > 2 * READS

    found = minimap2_calls(reads, tmp_path, "-k", "11", "-w", "3", "-s", "20", "-x", "asm5", "-k15", "-w5")
    both = sum(len(truth & found[name]) for name, truth in truths.items())
    called = sum(map(len, found.values()))
    assert min(both / injected, both / called) >= 0.999, (both, injected, called)

    found = minimap2_calls(reads, tmp_path, "-x", "sr")
    assert sum(len(truth & found[name]) for name, truth in truths.items()) / injected >= 0.99
    assert sum(applied(read, found[name]) == read.seq for name, read in reads.items()) / len(reads) >= 0.99


@pytest.mark.debian
def test_every_file_of_an_export_is_accepted(tmp_path: Path) -> None:
    reads = exported(synthetic(preset="wgsim"), tmp_path)
    for name in ("truth.vcf.gz", "errors.vcf.gz", "reads.fastq.gz"):
        tool("bgzip", "-t", tmp_path / name)
    first = next(read for read in reads if read.truth)
    assert first.truth is not None
    assert f"RID={first.read_id};" in tool("tabix", tmp_path / "truth.vcf.gz", f"{first.read_id}:1-{len(first.ref_seq)}")
    assert len(tool("bcftools", "view", "-H", tmp_path / "errors.vcf.gz").splitlines()) == sum(len(read.errors or ()) for read in reads)
    assert tool("samtools", "faidx", tmp_path / "reference.fa", first.read_id).split("\n", 1)[1].replace("\n", "") == first.ref_seq
    assert tool("samtools", "import", "-0", tmp_path / "reads.fastq.gz", "-O", "sam").count("\nhx") >= READS - 1


def vcf_of(path: Path, windows: Sequence[Read], variants: Sequence[Sequence[Allele]]) -> Path:
    """A sorted, compressed and indexed VCF of windows that are contigs of their own."""
    lines = ["##fileformat=VCFv4.3", *(f"##contig=<ID={read.contig},length={len(read.ref_seq)}>" for read in windows)]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for read, alleles in zip(windows, variants, strict=True):
        lines += [f"{read.contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t." for pos, ref, alt in sorted(alleles)]
    path.write_text("\n".join(lines) + "\n")
    tool("bgzip", path)
    return Path(f"{path}.gz")


def normal(path: Path, fasta: Path) -> Path:
    target = path.with_suffix(".norm.gz")
    tool("bcftools", "norm", "-f", fasta, "-c", "e", "-Oz", "-o", target, path)
    tool("tabix", "-p", "vcf", target)
    return target


@pytest.mark.debian
def test_matching_by_alleles_counts_what_bcftools_isec_counts(tmp_path: Path) -> None:
    reads = list(reads_of(synthetic()))
    model = ScriptedModel(11, EmulatorErrorRates(drop=0.2, shift=0.3, hallucinate=0.3))
    counts: Counter[str] = Counter()
    said: list[list[Allele]] = []
    for read in reads:
        judged = judge_calls([RawCall(*call, sure) for call, sure in model.answer(read.ref_seq, read.seq).calls], read.ref_seq)
        valid = [call for call in judged if call.outcome == "ok"]
        said.append([call[:3] for call in valid])
        for row in score_read(read, valid, None, max_states=0).rows:
            counts[f"{row.side} {row.match}"] += 1
    fasta = tmp_path / "windows.fa"
    fasta.write_text("".join(f">{read.contig}\n{read.ref_seq}\n" for read in reads))
    truth = normal(vcf_of(tmp_path / "truth.vcf", reads, [[variant[:3] for variant in read.truth or ()] for read in reads]), fasta)
    calls = normal(vcf_of(tmp_path / "calls.vcf", reads, said), fasta)
    tool("bcftools", "isec", "-c", "none", "-p", tmp_path / "isec", truth, calls)
    missed, false, found = (
        sum(not line.startswith("#") for line in (tmp_path / f"isec/000{number}.vcf").read_text().splitlines()) for number in range(3)
    )
    assert counts == {"truth TP": found, "truth FN": missed, "call TP": found, "call FP": false}
    assert min(found, missed, false) > 200
