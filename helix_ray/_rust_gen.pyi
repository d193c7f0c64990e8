"""The compiled part: rust_gen/. Private; `helix_ray.sources` and
`helix_ray.backends` are its users. A test compares this stub with the binary.

Columns have equal lengths. The GIL is released while a call works. Indices and ordinals count from 0.
"""

from os import PathLike
from typing import final

GENERATOR_VERSION: int
"""Raised whenever the bytes of any synthetic record change."""

class InputFileError(Exception):
    """A file that cannot be used: args are message, fault, record, line (both counted from 1, or None).

    Faults: ``unusable empty truncated malformed too_long``. The message names file, record and line.
    """

def generate(
    seed: int, config_json: str, start: int, count: int
) -> tuple[list[str], list[str], list[list[tuple[int, str, str, str, str]]], list[bool], list[float], list[int]]:
    """Synthetic records start..start+count: ref_seq, seq, truth (pos, ref, alt, type, event), identifiable, gc, max_homopolymer.

    ``config_json`` is a MutationConfig. ValueError: it cannot be used, or count is above 1,000,000. OverflowError: a
    number below 0 or above 64 bits.
    """

def align(windows: list[str], reads: list[str]) -> tuple[list[int], list[list[tuple[int, str, str, str]]]]:
    """Aligns each read with its window end to end: scores, and calls (pos, ref, alt, type) sorted and without overlap.

    The score is the least cost with match 0, mismatch 4, a gap of n bases 6 + 2n; an N costs nothing against any base, every
    other code is a mismatch unless equal. The calls, applied to the window, give the read, but for its Ns. An empty window
    or read has a score and no calls. ValueError: lists of different lengths, or anything but upper-case IUPAC codes.
    """

@final
class FastxReader:
    """A FASTA or FASTQ file, plain or gzip, read forward. Reads longer than ``keep_bases`` come without their sequence."""

    def __new__(cls, path: str | PathLike[str], kind: str, max_record_bytes: int, keep_bases: int) -> FastxReader: ...
    def read(self, count: int) -> tuple[list[int], list[int], list[str], list[str], list[str | None], list[int], list[str | None]]:
        """The next ``count`` records, fewer at the end: ordinal, line, name, seq, qual, length, problem (None: well-formed)."""

    def skip(self, count: int) -> int:
        """Passes over the next ``count`` records; returns how many there were."""

@final
class Placer:
    """A reference genome in memory, indexed by minimap2."""

    def __new__(cls, reference_path: str | PathLike[str]) -> Placer: ...
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

        Status: ``placed unplaced iupac``; the other columns tell of placed reads only. ``seq`` is the aligned part on the
        reference's strand, ``kept`` its place in the read as given; gc and max_homopolymer are the window's.
        """
