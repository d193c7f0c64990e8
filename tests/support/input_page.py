"""docs/input.md, made of the tables that `test_malformed.py` runs. `cd tests && python -m support.input_page` writes it anew."""

from pathlib import Path

from support import input_cases_files, input_cases_pairs, input_cases_reads

PAGE = Path(__file__).parents[2] / "docs" / "input.md"
SECTIONS = input_cases_reads.SECTIONS | input_cases_files.SECTIONS | input_cases_pairs.SECTIONS

INTRODUCTION = """# Input files

What a file of reads may look like, and every text with which one is refused. Written by `cd tests && python -m support.input_page`
from the table that the tests run; do not edit.

`source.kind` names the format: `fastq`, `fasta` (both placed on `source.reference`) or `pairs` (each read brings its window).
Files are plain or gzip, whatever their names say; nothing is guessed from a name but the layout of pairs. One run reads one
regular file, forward, since a read is known by its number.

A case ends in one of three ways:

* **read**: the records have rows.
* **malformed**: with `source.on_error: stop` the run ends with `FILE: record N (line L): TEXT; mend the file, or set
  source.on_error: skip to give such records a row of their own and go on`; with `skip` the record has a row with the
  disposition `malformed` and the reason `line L: TEXT`.
* **refused**: `FILE: TEXT`, whatever `source.on_error` says: nothing after it can be trusted, or the file is not what it should
  be. Blocks of `source.batch_size` records before the place are read; a damaged or truncated gzip never passes for the end of the file.

Limits: 16 MiB for a record of reads, as written; 1 MiB for a line of pairs; 2,147,483,647 bases for a contig of the reference.
What is read ahead of a record is at most 8 MiB more than the limit. A gzip file of reads may expand as much as it likes, as long
as its records end; a reference may expand to 64 MiB plus 64 times its size, since it is held in memory. A plain gzip file cut
exactly between two members cannot be told from a whole one; bgzip's can. Qualities are Phred+33; Phred+64 is not recognised,
since the ranges overlap.

FASTA pairs: two records, the window first. Both headers begin with the same word, or with `ID/window` and `ID/read`.

`source.iupac: filter` gives reads that hold, or meet in their window, a code other than A, C, G, T and N the disposition
`filtered` with the reason `iupac`. `source.iupac: n` makes N of the ambiguity codes R Y S W K M B D H V in reads and windows; N
matches anything, and `strata.n_bases` counts those of the read. U is no DNA and stays filtered: convert RNA first.
"""


def page() -> str:
    """docs/input.md, whole."""
    parts = [INTRODUCTION]
    for title, cases in SECTIONS.items():
        parts.append(f"\n## {title}\n\n| the file holds | it ends as | text |\n|---|---|---|\n")
        parts += [f"| {case.about} | {case.ending} | {_cell(case.text)} |\n" for case in cases]
    return "".join(parts)


def _cell(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
