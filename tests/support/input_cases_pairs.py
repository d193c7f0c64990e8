"""Files of pairs of window and read. One line a case; docs/input.md is made of it."""

import gzip
import os

from support.input_case import (
    ADDED,
    CUT,
    ENDINGS,
    FQ,
    GAP,
    JSONL,
    NO_PAIR,
    NOT_REGULAR,
    TSV,
    Case,
    malformed,
    read,
    refused,
)

SECTIONS: dict[str, list[Case]] = {
    "Pairs of window and read": [
        read("TSV", "pairs.tsv", TSV + b"p2\tGGNN\tGG\n", "ACGA", "GG"),
        read(
            "TSV with its header, a byte order mark, CR LF, blank lines",
            "pairs.tsv",
            b"\xef\xbb\xbf\nID\tWindow\tRead\r\n\r\n" + TSV,
            "ACGA",
        ),
        read("JSON lines", "pairs.jsonl", JSONL + b"\n" + JSONL, "ACGA", "ACGA"),
        read("FASTA, two records a pair", "pairs.fa", b">p1\nACGT\n>p1\nACGA\n>p2/window\nGG\nNN\n>p2/read\ngg\n", "ACGA", "GG"),
        read("any of them as gzip", "pairs.tsv.gz", gzip.compress(TSV), "ACGA"),
        read("a FASTA pair named `/1` and `/2` at its end", "pairs.fa", b">p/1\nAC\n>p/1\nAC\n>p/2\nGT\n>p/2\nGT\n", "AC", "GT"),
        malformed(
            "a column missing",
            "pairs.tsv",
            TSV + b"p2\tACGT\n" + TSV,
            (2, 2),
            "2 columns separated by tabs; expected 3: id, window, read",
            "ACGA",
            "ACGA",
        ),
        malformed(
            "a column too many", "pairs.tsv", b"p2\tAC\tAC\tAC\n", (1, 1), "4 columns separated by tabs; expected 3: id, window, read"
        ),
        malformed("blanks for tabs", "pairs.tsv", b"p2 ACGT ACGT\n", (1, 1), "1 columns separated by tabs; expected 3: id, window, read"),
        malformed("a gap", "pairs.tsv", b"p2\tACGT\tAC-T\n", (1, 1), "base 3 of the read is '-', not a nucleotide code"),
        malformed("an empty window", "pairs.tsv", b"p2\t\tACGT\n", (1, 1), "the window is empty"),
        malformed("an empty read", "pairs.tsv", b"p2\tACGT\t\n", (1, 1), "the read is empty"),
        malformed("an empty id", "pairs.tsv", b" \tACGT\tACGT\n", (1, 1), "the id must be 1 to 200 printable characters"),
        malformed("not UTF-8", "pairs.tsv", b"p2\tAC\xffT\tACGT\n", (1, 1), "byte 6 of the line is not UTF-8"),
        malformed(
            "letters that upper case would turn into bases",
            "pairs.tsv",
            "p2\tACGT\tA\u017fß\n".encode(),
            (1, 1),
            "base 2 of the read is '\u017f', not a nucleotide code",
        ),
        malformed(
            "JSON cut short",
            "pairs.jsonl",
            b'{"id": "p2", "window"\n' + JSONL,
            (1, 1),
            "not JSON: Expecting ':' delimiter: line 1 column 22 (char 21)",
            "ACGA",
        ),
        malformed("another key", "pairs.jsonl", JSONL.replace(b"}", b', "x": 1}'), (1, 1), NO_PAIR),
        malformed("a number for text", "pairs.jsonl", JSONL.replace(b'"p1"', b"1"), (1, 1), NO_PAIR),
        malformed("a key twice", "pairs.jsonl", JSONL.replace(b"}", b', "read": "TTTT"}'), (1, 1), "a key appears twice"),
        malformed("nested a hundred thousand deep", "pairs.jsonl", b"[" * 100_000 + b"\n", (1, 1), "not a pair: nested too deeply"),
        malformed(
            "a control character in the id",
            "pairs.jsonl",
            JSONL.replace(b"p1", b"p\\u0000"),
            (1, 1),
            "the id must be 1 to 200 printable characters",
        ),
        malformed(
            "FASTA ids that differ",
            "pairs.fa",
            b">p1\nAC\n>p9\nAC\n>p2\nGT\n>p2\nGG\n",
            (1, 1),
            "the ids of a pair must be the same, found 'p1' and 'p9'",
            "GG",
        ),
        malformed(
            "a FASTA window without its read",
            "pairs.fa",
            b">p1\nAC\n>p1\nAG\n>p2\nAC\n",
            (2, 5),
            "the window has no read behind it: a pair is two records",
            "AG",
        ),
        malformed("a bad base in a FASTA read", "pairs.fa", b">p1\nAC\n>p1\nA-\n", (1, 1), f"the read: base 2 is '-', {GAP}"),
        refused("FASTQ", "pairs.fastq", FQ, ENDINGS),
        refused("only a header", "pairs.tsv", b"id\twindow\tread\n", "holds no pairs"),
        refused(
            "a line of more than a mebibyte",
            "pairs.tsv",
            TSV + b"A" * (2**20 + 1),
            "line 2: longer than 1048576 bytes, the most that a line may have",
        ),
        refused("gzip cut short", "pairs.tsv.gz", gzip.compress(TSV)[:-3], f"line 2: {CUT}"),
        refused("gzip with text behind it", "pairs.tsv.gz", gzip.compress(TSV) + TSV, f"line 2: {ADDED}"),
        refused("zstd", "pairs.tsv", b"\x28\xb5\x2f\xfd\x04", "is zstd; decompress it (unzstd) or compress it with gzip"),
        refused("a pipe", "pairs.tsv", os.mkfifo, f"is a pipe; {NOT_REGULAR}"),
    ],
}
