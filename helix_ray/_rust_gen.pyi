"""The compiled part: rust_gen/. Private; `helix_ray.sources` is its one user. A test compares this stub with the binary.

Columns have equal lengths. The GIL is released while a call works. Indices and ordinals count from 0.
"""

from collections.abc import Iterable
from os import PathLike
from typing import final

GENERATOR_VERSION: int
"""Raised whenever the bytes of any synthetic record change."""

class InputFileError(Exception):
    """A file that cannot be used: args are message, fault, record, line (both counted from 1, or None).

    Faults: ``unusable empty truncated malformed too_long``. The message names file, record and line.
    """

Variant8 = tuple[int, str, str, str, str, int, str, str | None]
"""pos (from 1), ref, alt, type, event, length, spdi, titv: pos, ref and alt are VCF-normalised, spdi counts on the contig."""

def generate(
    seed: int, config_json: str, start: int, count: int, genome: Genome | None = None
) -> tuple[
    list[str],
    list[int],
    list[str],
    list[str],
    list[str],
    list[str | None],
    list[list[Variant8]],
    list[list[Variant8]],
    list[bool],
    list[int],
    list[float],
    list[int],
    list[int],
    list[int | None],
]:
    """Synthetic records start..start+count: contig, ref_start, strand, ref_seq, seq, qual, truth, errors, identifiable,
    checksum, gc, max_homopolymer, max_str, min_gap.

    ``config_json`` holds every key of the mutation model; ``genome`` is where windows come from, else they are random bases.
    All is told on the reference's strand. max_str: bases of the longest tandem repeat with a unit of 2 to 6 bases that stands
    there at least twice, a cut last copy included; a run of one base is none. min_gap: least number of bases between the
    fully-justified intervals of neighbouring truths.

    ValueError: the configuration cannot be used, or count is above 1,000,000. OverflowError: a number below 0 or above 64 bits.
    """

def generate_fastq(seed: int, config_json: str, start: int, count: int, genome: Genome | None = None) -> bytes:
    """The same records as FASTQ text, as sequenced: strand ``-`` is reverse-complemented. Names are ``hx{index}``.

    Without a quality model every base has Phred 40, since FASTQ cannot say that nothing is known. Errors as in ``generate``.
    """

def packed_reads(seed: int, config_json: str, start: int, count: int, genome: Genome | None = None) -> list[bytes]:
    """The same records, each as a pickle of the fields of `records.Read` as plain values."""

def copy_text(rows: Iterable[tuple[object, ...]]) -> bytes:
    """Rows in the text format of PostgreSQL's COPY. None is NULL, a list of words or numbers an array;
    other values stand there as `str` spells them.
    """

@final
class Genome:
    """A reference genome in memory, one byte a base; windows are drawn uniformly over all those of pure A, C, G and T."""

    def __new__(cls, reference_path: str | PathLike[str]) -> Genome: ...

def checksum(ref_seq: str, seq: str, truth: list[tuple[int, str, str]] | None) -> int:
    """64 bits of window, read and truth (pos, ref, alt). An unknown truth (None) and an empty one differ."""

def normalize(window: str, pos: int, ref: str, alt: str) -> tuple[int, str, str, str | None]:
    """Left-aligned and parsimonious (Tan, Abecasis & Kang 2015, doi:10.1093/bioinformatics/btv112): pos, ref, alt, type.

    ``pos`` counts from 1. The type is None, and the alleles stand as they came, when they are equal. ValueError: the window
    does not hold ``ref`` at ``pos``, is deleted whole, or something is not ASCII. OverflowError: pos is below 0.
    """

def describe(window: str, pos: int, ref: str, alt: str, contig: str, ref_start: int) -> tuple[int, str, str, str, int, str, str | None]:
    """A variant normalised: pos, ref, alt, type, length, spdi, titv. Errors as ``normalize``; ValueError for equal alleles, too."""

def justify(window: str, pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Fully justified (VOCA; Holmes et al. 2020, PMC7523648): start, deleted, inserted, counted from 0 between the window's bases.

    Errors as ``describe``.
    """

def surroundings(window: str, start: int, end: int, around: int, slop: int) -> tuple[int, int, bool]:
    """The place start..end (from 0) of a window: GC in tenths (0..9) of the ``around`` bases to either side, the longest run of one
    base that touches it, and whether a low-complexity region (over 6, 11, 15, 20 bases of a unit of 1 to 4) is nearer than ``slop``.

    Runs are seen ``slop`` + 20 bases far. ValueError: it does not begin in the window.
    """

def align(windows: list[str], reads: list[str]) -> tuple[list[int], list[list[tuple[int, str, str, str]]]]:
    """Aligns each read with its window end to end: scores, and calls (pos, ref, alt, type) sorted and without overlap.

    The score is the least cost with match 0, mismatch 4, a gap of n bases 6 + 2n; an N costs nothing against any base, every
    other code is a mismatch unless equal. The calls, applied to the window, give the read, but for its Ns. An empty window
    or read has a score and no calls. ValueError: lists of different lengths, or anything but upper-case IUPAC codes.
    """

@final
class FastxReader:
    """A FASTA or FASTQ file, plain or compressed, read forward. Reads longer than ``keep_bases`` come without their sequence."""

    def __new__(cls, path: str | PathLike[str], kind: str, max_record_bytes: int, keep_bases: int, refuse_mates: bool) -> FastxReader:
        """Opens it and looks at its beginning. ``refuse_mates``: mates of pairs that follow each other are an error."""

    def read(self, count: int) -> tuple[list[int], list[int], list[str], list[str], list[str | None], list[int], list[str | None]]:
        """The next ``count`` records, fewer at the end: ordinal, line, name, seq, qual, length, problem (None: well-formed)."""

    def skip(self, count: int) -> int:
        """Passes over the next ``count`` records; returns how many there were."""

@final
class LineReader:
    """A text file, plain or compressed, read line by line."""

    def __new__(cls, path: str | PathLike[str], max_line_bytes: int) -> LineReader: ...
    def read(self) -> tuple[int, bytes] | None:
        """The next line that is not blank, without its end, and its number from 1; None at the end."""

@final
class Placer:
    """A reference genome in memory, indexed by minimap2."""

    def __new__(cls, reference_path: str | PathLike[str], ambiguous_as_n: bool) -> Placer:
        """``ambiguous_as_n``: ambiguity codes of the reads and of the reference count as N; without, they give ``iupac``."""

    def place(
        self, seqs: list[str]
    ) -> tuple[
        list[str],
        list[str],
        list[int],
        list[str],
        list[str],
        list[str],
        list[tuple[int, int]],
        list[int],
        list[float],
        list[int],
    ]:
        """Where upper-case reads lie: status, contig, ref_start, strand, ref_seq, seq, kept, mapping_quality, gc, max_homopolymer.

        Status: ``placed repeated unplaced too_short iupac``; the other columns tell of the first two only. ``seq`` is the aligned part
        on the reference's strand, ``kept`` its place in the read as given; gc and max_homopolymer are the window's.
        """
