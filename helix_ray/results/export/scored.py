"""``scored.vcf.gz``: truth and calls side by side with how each was counted, in GA4GH's intermediate format.

The format is that of ga4gh/benchmarking-tools, ``doc/ref-impl/intermediate.md``, with the match types that hap.py writes into it.
Genotypes are not compared (GA4GH's method 2), so its ``gm`` does not occur. A variant that both sides name is one record.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.results.export.calls import has_window, phred, simulated_header, valid_calls
from helix_ray.results.export.coordinates import Coordinates
from helix_ray.results.export.vcf import VcfFile, encoded
from helix_ray.scoring.strata import subtype

HEADER = (
    '##INFO=<ID=BS,Number=1,Type=Integer,Description="Superlocus: the index of the read, whose window is compared as a whole">',
    '##INFO=<ID=RID,Number=1,Type=String,Description="The read">',
    '##INFO=<ID=CAPPED,Number=0,Type=Flag,Description="The search was given up for this read: variants match by equal alleles alone">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Haploid genotype">',
    '##FORMAT=<ID=BD,Number=1,Type=String,Description="Decision for call (TP/FP/FN/N)">',
    '##FORMAT=<ID=BK,Number=1,Type=String,Description="am: same alleles on both sides; lm: same sequence in other alleles, or a mistake '
    'within 5 bases; missing: nothing near">',
    '##FORMAT=<ID=BI,Number=1,Type=String,Description="ti, tv, mnv, or i, d, c (complex) with the length in bases">',
    '##FORMAT=<ID=QQ,Number=1,Type=Float,Description="-10 log10(1 - confidence), at most 99">',
    '##FORMAT=<ID=HD,Number=1,Type=String,Description="TP: allele or haplotype; FP: error (of sequencing), allele, near or invented; '
    'FN: allele, near, missed or failed (no answer)">',
)
FORMAT = "GT:BD:BK:BI:QQ:HD"
ABSENT = ".:.:.:.:.:."

_MATCH_TYPES = {("TP", "allele"): "am", ("TP", "haplotype"): "lm"} | {
    (match, detail): "lm" for match in ("FP", "FN") for detail in ("allele", "near")
}


class ScoredVcf:
    """Reads with known truth, dead letters among them: their truth is FN."""

    def __init__(self, folder: Path, files: ExitStack, coordinates: Coordinates, header: list[str], simulated: bool) -> None:
        self._coordinates = coordinates
        lines = [*header, *simulated_header(simulated), *HEADER]
        self._file = VcfFile(folder / "scored.vcf.gz", files, lines, ["TRUTH", "QUERY"], coordinates)

    def add(self, result: ReadResult) -> None:
        read = result.read
        if read.truth is None or not has_window(result):
            return
        self._file.declare_of(read)
        place = self._coordinates.place(read)
        truths = {row[1:4]: row for row in result.variants if row.side == "truth"}
        calls = {row[1:4]: row for row in valid_calls(result)}
        info = f"BS={read.read_index};RID={encoded(read.read_id)}" + (";CAPPED" if result.capped else "")
        for alleles in sorted(truths.keys() | calls.keys()):
            truth, call = truths.get(alleles), calls.get(alleles)
            qual = phred(call.confidence if call else None)
            self._file.write(place, *alleles, info, qual=qual, columns=f"{FORMAT}\t{sample(truth)}\t{sample(call)}")

    def close(self) -> list[Path]:
        return self._file.close()


def sample(row: ScoredVariant | None) -> str:
    """The column of one side. What is not known of a row that an earlier version stored is missing."""
    if row is None:
        return ABSENT
    match_type = _MATCH_TYPES.get((row.match or "", row.detail or ""), ".")
    kind = subtype(row.type, row.ref, row.alt).lower()
    return f"1:{row.match or 'N'}:{match_type}:{kind}:{phred(row.confidence)}:{row.detail or '.'}"
