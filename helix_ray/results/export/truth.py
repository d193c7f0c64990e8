"""``truth.vcf.gz`` and ``errors.vcf.gz``: what the generator changed, and what its sequencing misread."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from helix_ray.records import Read, Variant
from helix_ray.results.export.coordinates import Coordinates
from helix_ray.results.export.vcf import VcfFile, encoded

INFO = (
    '##INFO=<ID=TYPE,Number=1,Type=String,Description="SNV, MNV, INS, DEL or DELINS: a function of the alleles">',
    '##INFO=<ID=EVENT,Number=1,Type=String,Description="What was done: snv, mnv, ins, del, dup (tandem duplication) or inv">',
    '##INFO=<ID=LEN,Number=1,Type=Integer,Description="Bases changed, inserted or deleted">',
    '##INFO=<ID=RID,Number=1,Type=String,Description="The read that carries it">',
    '##INFO=<ID=SPDI,Number=1,Type=String,Description="Contextual allele: 0-based, over the whole ambiguous region (PMC7523648)">',
    '##INFO=<ID=IDENT,Number=0,Type=Flag,Description="All differences of the read lie 10 bases apart and from the window ends">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Haploid genotype">',
)


class TruthVcf:
    """Writes the truth, and the sequencing errors apart from it."""

    def __init__(self, folder: Path, files: ExitStack, coordinates: Coordinates, header: list[str]) -> None:
        self._coordinates = coordinates
        self._truth = VcfFile(folder / "truth.vcf.gz", files, [*header, *INFO], ["TRUTH"], coordinates)
        self._errors = VcfFile(folder / "errors.vcf.gz", files, [*header, *INFO], ["ERRORS"], coordinates)

    def add(self, read: Read) -> None:
        if read.truth is None:
            return
        self._truth.declare_of(read)
        self._errors.declare_of(read)
        place = self._coordinates.place(read)
        for file, variants in ((self._truth, read.truth), (self._errors, read.errors or ())):
            for variant in variants:
                file.write(place, variant.pos, variant.ref, variant.alt, info(read, variant))

    def close(self) -> list[Path]:
        return self._truth.close() + self._errors.close()


def info(read: Read, variant: Variant) -> str:
    """The INFO column; what would break it is percent-encoded, as VCF 4.3 asks (section 1.2)."""
    fields = [f"TYPE={variant.type}", f"EVENT={variant.event}"]
    if variant.length is not None:
        fields.append(f"LEN={variant.length}")
    fields.append(f"RID={encoded(read.read_id)}")
    if variant.spdi is not None:
        fields.append(f"SPDI={encoded(variant.spdi)}")
    if read.identifiable:
        fields.append("IDENT")
    return ";".join(fields)
