"""docs/input.md, made of the tables that `test_malformed.py` runs. `cd tests && python -m support.input_page` writes it anew."""

import re
from pathlib import Path

from support import input_cases_files, input_cases_pairs, input_cases_reads

PAGE = Path(__file__).parents[2] / "docs" / "input.md"
SECTIONS = input_cases_reads.SECTIONS | input_cases_files.SECTIONS | input_cases_pairs.SECTIONS

INTRODUCTION = """# Input files

Made of the table that the tests run, by `cd tests && python -m support.input_page`; do not edit.

`source.kind` names the format: `fastq`, `fasta` (both placed on `source.reference`) or `pairs` (window and read: TSV, JSON lines or
FASTA, told apart by the first line). Files are plain, gzip, bgzip, bzip2, xz or zstd, a reference plain or gzip, whatever their names
say. One run reads one file.

**Standard input, pipes, BAM, CRAM**: `source.path: "-"` is standard input. It, a pipe, and the reads of BAM or CRAM are first copied to
`HELIX_HOME/input/` (at most `source.copy_limit_mb`), so that a resumed run needs nothing else; dry run and doctor use a temporary folder.
Reads of aligned BAM and CRAM are taken as sequenced: alignments are ignored, secondary and supplementary records passed over, reverse
ones complemented back; missing qualities become `"`. Mates are refused. CRAM is decoded with `source.reference`, never from the network.

**Placing**: reads of 25 bases and more are placed by minimap2: up to 100 with short, dense seeds, up to 500 with its preset `sr`, longer
ones with `map-ont`. A shorter read is `unplaced` (`too_short`), one with a second place as good `filtered` (`repeated`). Up to 100 the
mapping quality is 6 for each base by which the best place leads. Forecast, doctor, report and page count what is left out by reason.

**Endings**: *read*; *malformed*: with `source.on_error: stop` the run ends with `FILE: record N (line L): TEXT`, with `skip` the record
has a row with that reason; *refused*: `FILE: TEXT` under either, since nothing after it can be trusted. The texts stand here
without advice, X for what was found.

**Limits**: 16 MiB for a record; 1 MiB for a line of pairs; 2,147,483,647 bases for a contig; 160 MiB for a decoder. Compressed reads may
expand as long as their records end, a reference to 64 MiB and 64 times its size. A file cut exactly between two members cannot be told
from a whole one, but of bgzip; damage in zstd without checksum may not be seen. Qualities are Phred+33.

**Other parsers**: dnaio refuses blank lines, a byte order mark, names that are not ASCII and comments behind `+` that differ. kseq (pysam)
reads wrapped qualities, ends names at NUL and keeps a CR of an empty line. Both read letters that are no bases, and empty files. Where all
read a file, they read the same (`tests/peers/test_parsers.py`).

**Codes**: `source.iupac: filter` leaves out reads that hold, or meet in their window, another code than A, C, G, T and N; `n` makes N of
them. U stays filtered: convert RNA first.
"""


def page() -> str:
    """docs/input.md, whole."""
    parts = [INTRODUCTION]
    for title, cases in SECTIONS.items():
        parts.append(f"\n## {title}\n\n|the file holds|ending|text|\n|---|---|---|\n")
        rows: dict[tuple[str, str], dict[str, None]] = {}
        for case in cases:
            rows.setdefault((case.ending, _shown(case.text)), {})[re.sub("^(bzip2|xz|zstd), ", "", case.about)] = None
        parts += [f"|{'; '.join(abouts)}|{ending}|{_cell(text)}|\n" for (ending, text), abouts in rows.items()]
    return "".join(parts)


def _shown(text: str) -> str:
    """Without its place and without what to do; what was found is an X."""
    text = re.sub(r"^(…|record \d+ (\(line \d+\): )?|line \d+: )+(: )?", "", text)
    text = re.split(r"; |: the (?:file|record) is|, (?:the most|but|as on|found) ", text)[0]
    text = re.sub(r"^is .*|^base \d+ .*", lambda found: found[0].split()[0] + " X", text)
    return re.sub(r"'[^']*'|\b(?!16777216|1048576)\d+\b|\b(gzip|bzip2|xz|zstd)\b|\(.*\)", "X", text)


def _cell(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
