"""VCF 4.3 files, bgzip-compressed, sorted, with their tabix index: the truth, sequencing errors, calls, and both sides scored."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, ClassVar

import pysam

from helix_ray.errors import InputError
from helix_ray.records import Read, ReadResult, ScoredVariant, Variant
from helix_ray.results.export.reads import Context, Contig, Place
from helix_ray.results.export.records import SIMULATED
from helix_ray.scoring.strata import subtype
from helix_ray.storage.rows import NOT_THE_SOURCES

FIXED = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
CONTIG_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Section 1.4.7 of VCF 4.3."""
MAX_QUAL = 99.0  # Phred. A confidence of 1 would be infinite.
_RESERVED = {ord(sign): f"%{ord(sign):02X}" for sign in ";=%,\t\r\n "}
_COPY_BYTES = 1 << 20

_TYPE = '##INFO=<ID=TYPE,Number=1,Type=String,Description="SNV, MNV, INS, DEL or DELINS: a function of the alleles">'
_GENOTYPE = '##FORMAT=<ID=GT,Number=1,Type=String,Description="Haploid genotype">'
TRUTH_HEADER = (
    _TYPE,
    '##INFO=<ID=EVENT,Number=1,Type=String,Description="What was done: snv, mnv, ins, del, dup (tandem duplication) or inv">',
    '##INFO=<ID=LEN,Number=1,Type=Integer,Description="Bases changed, inserted or deleted">',
    '##INFO=<ID=RID,Number=1,Type=String,Description="The read that carries it">',
    '##INFO=<ID=SPDI,Number=1,Type=String,Description="Contextual allele: 0-based, over the whole ambiguous region (PMC7523648)">',
    '##INFO=<ID=IDENT,Number=0,Type=Flag,Description="All differences of the read lie 10 bases apart and from the window ends">',
    _GENOTYPE,
)
CALLS_HEADER = (
    _TYPE,
    '##INFO=<ID=RID,Number=1,Type=String,Description="The read that it was called in">',
    '##INFO=<ID=CONF,Number=1,Type=Float,Description="The model\'s confidence, 0 to 1; QUAL is made of it">',
    '##INFO=<ID=MATCH,Number=1,Type=String,Description="TP or FP; missing where the truth is not known">',
    '##INFO=<ID=DETAIL,Number=1,Type=String,Description="TP: allele or haplotype; FP: error (of sequencing), allele, near, invented">',
    '##INFO=<ID=OFF_BY,Number=1,Type=Integer,Description="Bases from the missed truth that was probably meant, -5 to 5">',
    _GENOTYPE,
)
SCORED_HEADER = (
    '##INFO=<ID=BS,Number=1,Type=Integer,Description="Superlocus: the index of the read, whose window is compared as a whole">',
    '##INFO=<ID=RID,Number=1,Type=String,Description="The read">',
    '##INFO=<ID=CAPPED,Number=0,Type=Flag,Description="The search was given up for this read: variants match by equal alleles alone">',
    _GENOTYPE,
    '##FORMAT=<ID=BD,Number=1,Type=String,Description="Decision for call (TP/FP/FN/N)">',
    '##FORMAT=<ID=BK,Number=1,Type=String,Description="am: same alleles on both sides; lm: same sequence in other alleles, or a mistake '
    'within 5 bases; missing: nothing near">',
    '##FORMAT=<ID=BI,Number=1,Type=String,Description="ti, tv, mnv, or i, d, c (complex) with the length in bases">',
    '##FORMAT=<ID=QQ,Number=1,Type=Float,Description="-10 log10(1 - confidence), at most 99">',
    '##FORMAT=<ID=HD,Number=1,Type=String,Description="TP: allele or haplotype; FP: error (of sequencing), allele, near or invented; '
    'FN: allele, near, missed or failed (no answer)">',
)
SCORED_FORMAT = "GT:BD:BK:BI:QQ:HD"
ABSENT = ".:.:.:.:.:."

_MATCH_TYPES = {("TP", "allele"): "am", ("TP", "haplotype"): "lm"} | {
    (match, detail): "lm" for match in ("FP", "FN") for detail in ("allele", "near")
}


class VcfFile:
    """Lines of one file. Memory is bounded with a contig per window; otherwise every line is kept, to be sorted.

    The contigs stand in the header, and with a contig per window they are known only when the last read was seen. So lines wait in
    plain files beside the target until then.
    """

    name: ClassVar[str]
    header: ClassVar[tuple[str, ...]]
    samples: ClassVar[str]
    of_answers = True  # and so of the emulator's, which the header says

    def __init__(self, context: Context) -> None:
        self._path = context.folder / self.name
        simulated = [f"##simulated={SIMULATED}"] if context.simulated and self.of_answers else []
        self._header = ["##fileformat=VCFv4.3", *context.header, *simulated, *self.header]
        self._coordinates = context.coordinates
        spools = (self._path.with_name(f"{self.name}.{part}").open("w+", encoding="utf-8") for part in ("contigs", "body"))
        self._contigs, self._body = map(context.files.enter_context, spools)
        self._unsorted: list[tuple[int, int, str]] = []
        for contig in self._coordinates.known_contigs:
            self._declare(contig)

    def place(self, read: Read) -> Place:
        """Where the window of a read begins. Declares its contig, if that comes into being with the read."""
        contig = self._coordinates.contig_of(read)
        if contig is not None:
            self._declare(contig)
        return self._coordinates.place(read)

    def write(self, place: Place, pos: int, ref: str, alt: str, info: str, *, qual: str = ".", columns: str = "GT\t1") -> None:
        """A record; ``columns``: FORMAT and samples. ``pos`` is 1-based in the window. Within a window they come sorted."""
        at = place.start + pos
        line = f"{place.contig}\t{at}\t.\t{ref}\t{alt}\t{qual}\tPASS\t{info}\t{columns}\n"
        if self._coordinates.sorted_input:
            self._body.write(line)
        else:
            self._unsorted.append((place.rank, at, line))

    def close(self) -> list[Path]:
        """Puts the file together and indexes it."""
        self._unsorted.sort()
        self._body.writelines(line for *_, line in self._unsorted)
        with pysam.BGZFile(str(self._path), "wb", None) as out:
            out.write("".join(f"{line}\n" for line in self._header).encode())
            _pour(self._contigs, out)
            out.write(f"{FIXED}\t{self.samples}\n".encode())
            _pour(self._body, out)
        pysam.tabix_index(str(self._path), preset="vcf", force=True)
        return [self._path, self._path.with_name(f"{self._path.name}.tbi")]

    def _declare(self, contig: Contig) -> None:
        """InputError: VCF has no way to write a contig of that name."""
        if not CONTIG_NAME.fullmatch(contig.name):
            raise InputError(f"contig '{contig.name}': VCF allows no such name; rename it in the reference, or leave the VCF formats out")
        self._contigs.write(f"##contig=<ID={contig.name},length={contig.length}>\n")


def _pour(spool: IO[str], out: pysam.BGZFile) -> None:
    spool.flush()
    with Path(spool.name).open("rb") as source:
        shutil.copyfileobj(source, out, _COPY_BYTES)
    spool.close()
    Path(spool.name).unlink()


class TruthVcf(VcfFile):
    """What the generator changed."""

    name, header, samples, of_answers = "truth.vcf.gz", TRUTH_HEADER, "TRUTH", False

    def add(self, read: Read) -> None:
        if read.truth is not None:
            self.write_variants(read, read.truth)

    def write_variants(self, read: Read, variants: Iterable[Variant]) -> None:
        place, rid = self.place(read), encoded(read.read_id)
        for row in variants:
            spdi = None if row.spdi is None else encoded(row.spdi)
            info = _info({"TYPE": row.type, "EVENT": row.event, "LEN": row.length, "RID": rid, "SPDI": spdi})
            self.write(place, row.pos, row.ref, row.alt, info + (";IDENT" if read.identifiable else ""))


class ErrorsVcf(TruthVcf):
    """And apart from it what its sequencing misread."""

    name, samples = "errors.vcf.gz", "ERRORS"

    def add(self, read: Read) -> None:
        if read.truth is not None:
            self.write_variants(read, read.errors or ())


def _info(fields: Mapping[str, object]) -> str:
    return ";".join(f"{key}={value}" for key, value in fields.items() if value is not None)


def encoded(text: str) -> str:
    """What would break the INFO column is percent-encoded, as VCF 4.3 asks (section 1.2)."""
    return text.translate(_RESERVED)


class CallsVcf(VcfFile):
    """``calls.vcf.gz``: the calls that fit their window, as any caller's output; those that do not are `InvalidCalls`."""

    name, header, samples = "calls.vcf.gz", CALLS_HEADER, "QUERY"

    def add(self, result: ReadResult) -> None:
        if not has_window(result):
            return
        place, rid = self.place(result.read), encoded(result.read.read_id)
        for row in sorted(valid_calls(result), key=lambda row: row[1:4]):
            info = {"TYPE": row.type, "RID": rid, "CONF": row.confidence, "MATCH": row.match, "DETAIL": row.detail, "OFF_BY": row.off_by}
            self.write(place, row.pos, row.ref, row.alt, _info(info), qual=phred(row.confidence))


class ScoredVcf(VcfFile):
    """``scored.vcf.gz``: truth and calls side by side with how each was counted, in GA4GH's intermediate format.

    Reads with known truth, dead letters among them: their truth is FN. The format is that of ga4gh/benchmarking-tools,
    ``doc/ref-impl/intermediate.md``, with the match types that hap.py writes into it. Genotypes are not compared (GA4GH's method 2),
    so its ``gm`` does not occur. A variant that both sides name is one record.
    """

    name, header, samples = "scored.vcf.gz", SCORED_HEADER, "TRUTH\tQUERY"

    def add(self, result: ReadResult) -> None:
        read = result.read
        if read.truth is None or not has_window(result):
            return
        place = self.place(read)
        truths = {row[1:4]: row for row in result.variants if row.side == "truth"}
        calls = {row[1:4]: row for row in valid_calls(result)}
        info = f"BS={read.read_index};RID={encoded(read.read_id)}" + (";CAPPED" if result.capped else "")
        for alleles in sorted(truths.keys() | calls.keys()):
            truth, call = truths.get(alleles), calls.get(alleles)
            qual = phred(call.confidence if call else None)
            self.write(place, *alleles, info, qual=qual, columns=f"{SCORED_FORMAT}\t{_sample(truth)}\t{_sample(call)}")


def _sample(row: ScoredVariant | None) -> str:
    """The column of one side. What is not known of a row that an earlier version stored is missing."""
    if row is None:
        return ABSENT
    match_type = _MATCH_TYPES.get((row.match or "", row.detail or ""), ".")
    kind = subtype(row.type, row.ref, row.alt).lower()
    return f"1:{row.match or 'N'}:{match_type}:{kind}:{phred(row.confidence)}:{row.detail or '.'}"


def has_window(result: ReadResult) -> bool:
    """Whether the read was to be analysed and is as its source made it: else positions in its window mean nothing."""
    return result.read.disposition is None and result.error_kind not in NOT_THE_SOURCES


def valid_calls(result: ReadResult) -> list[ScoredVariant]:
    return [row for row in result.variants if row.side == "call" and row.outcome == "ok"]


def phred(confidence: float | None) -> str:
    """-10 log10(1 - ``confidence``), 0 to `MAX_QUAL` in hundredths; missing as VCF writes it."""
    if confidence is None:
        return "."
    wrong = 1 - confidence
    return f"{min(MAX_QUAL, max(0.0, -10 * math.log10(wrong))) if wrong > 0 else MAX_QUAL:.2f}"
