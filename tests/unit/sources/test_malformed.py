"""Malformed files: every case of the tables ends as docs/input.md says, and none fills the memory."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helix_ray.config import Config
from helix_ray.errors import InputError
from helix_ray.records import Disposition, Read
from helix_ray.sources import copied, extension, make_source
from helix_ray.sources.files import sha256_of
from support.input_case import Case, endless, hole, zeros, zstd
from support.input_page import PAGE, SECTIONS, page

CASES = [case for cases in SECTIONS.values() for case in cases]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "ref.fa"
    path.write_text(">c\n" + "ACGTTGCATGCCATTAGGCATCAGGATACCAGATTT" * 3 + "\n")
    return path


def read_all(case: Case, path: str, reference: Path, on_error: str) -> list[Read]:
    files = {"path": path} | ({} if case.kind == "pairs" else {"reference": str(reference)})
    config = Config.model_validate({"source": {"kind": case.kind, "on_error": on_error, "count": None, **files}})
    source = make_source(copied(config, Path(path).parent / "input", lambda text: None))
    rows = [row for index in range(1000) if (block := source.block(index)) for row in block.rows()]
    if not rows:
        raise InputError(f"{path}: holds no pairs")  # what the check before a start adds
    return rows


def made(case: Case, folder: Path) -> str:
    path = folder / case.name.replace("{folder}", str(folder))
    if callable(case.content):
        case.content(path)
    else:
        path.write_bytes(case.content)
    return str(path)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("case", CASES, ids=[case.about for case in CASES])
def test_case(case: Case, on_error: str, tmp_path: Path, reference: Path) -> None:
    path = made(case, tmp_path)
    if case.ending == "refused" or (case.ending == "malformed" and on_error == "stop"):
        with pytest.raises(InputError) as caught:
            read_all(case, path, reference, on_error)
        record, line = case.at
        place = f"record {record} (line {line}): " if case.ending == "malformed" else ""
        remedy = "; mend the file, or set source.on_error: skip to give such records a row of their own and go on"
        expected = f"{path}: {place}{case.text}{remedy if place else ''}"
        if "…" in expected:
            beginning, _, end = expected.partition("…")
            assert str(caught.value).startswith(beginning)
            assert str(caught.value).endswith(end)
        else:
            assert str(caught.value) == expected
        return
    rows = read_all(case, path, reference, on_error)
    bad = [row for row in rows if row.disposition is Disposition.MALFORMED]
    assert tuple(row.seq for row in rows if row not in bad) == case.seqs
    assert [row.read_index for row in rows] == list(range(len(rows)))
    if case.ending == "malformed":
        assert [(row.read_index + 1, row.reason) for row in bad] == [(case.at[0], f"line {case.at[1]}: {case.text}")]
    else:
        assert bad == []


def test_there_are_enough_cases_and_every_refusal_has_its_text() -> None:
    assert sum(case.ending != "read" for case in CASES) >= 60
    assert all(bool(case.text) == (case.ending != "read") for case in CASES)
    assert len({(case.about, case.name) for case in CASES}) == len(CASES)


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: cd tests && python -m support.input_page"


MIB = 1024 * 1024
ADDRESS_SPACE_BYTES = 500 * MIB  # beyond what the process has before it opens anything
GROWTH_KIB = 200 * 1024

# Reads each file to its end or its error, under a limit; prints what came of it, and by how much the process ever grew.
READER = """
import json, resource, sys
from pathlib import Path
from helix_ray.errors import InputError
from helix_ray.sources import extension
from helix_ray.sources.pair_formats import pairs_of

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def drain(kind, path):
    if kind == "reference":
        extension.open_placer(path)
    elif kind == "pairs":
        return sum(1 for _ in pairs_of(path, 1000))
    else:
        reader, records = extension.open_reader(path, kind, 1000), 0
        with extension.input_errors():
            while count := len(reader.read(5000)[0]):
                records += count
        return records

outcomes = []
before = peak()
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for kind, path in json.loads(sys.argv[2]):
    try:
        outcomes.append(drain(kind, Path(path)))
    except InputError as error:
        outcomes.append(str(error).removeprefix(path + ": "))
print(json.dumps([outcomes, peak() - before]))
"""
TOO_LONG = "longer than 16777216 bytes, the most that a record may have; is this a file of reads?"


def repeated(head: bytes, part: bytes, times: int, compress: Callable[[bytes], bytes] = gzip.compress) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        member = compress(part)
        with path.open("wb") as file:
            file.write(compress(head))
            for _ in range(times):
                file.write(member)

    return write


FILES: list[tuple[str, str, Callable[[Path], None], object]] = [
    ("fasta", "one_base.fa.gz", endless(b">r\n"), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "one_base.fastq.gz", endless(b"@r\n"), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "header.fastq.gz", endless(b"@"), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "quality.fastq.gz", endless(b"@r\nACGT\n+\n"), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "behind.fastq.gz", endless(b"@r\nAC\n+\nII\n@s\n"), f"record 2 (line 5): {TOO_LONG}"),
    ("fasta", "lines.fa.gz", repeated(b">r\n", b"\n" * 16 * MIB, 640), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "zeros.fastq.gz", zeros, "record 1 (line 1): expected '@' as the first character: the file begins with '\\x00'"),
    ("fasta", "blank.fa.gz", repeated(b"\n", b"\n" * 16 * MIB, 640), "begins with 65536 bytes of blank lines"),
    ("fastq", "hole.fastq", hole, f"record 1 (line 1): {TOO_LONG}"),
    ("pairs", "hole.tsv", hole, "line 2: longer than 1048576 bytes, the most that a line may have"),
    ("pairs", "endless.jsonl.gz", endless(b"{"), "line 1: longer than 1048576 bytes, the most that a line may have"),
    ("pairs", "endless.fa.gz", endless(b">p\nAC\n>p\n"), f"record 2 (line 3): {TOO_LONG}"),
    (
        "reference", "reference.fa.gz", endless(b">c\n"),
        "record 1 (line 1): cannot be read: it decompresses to more than 64 times its size; if that is right, decompress it first",
    ),
    ("reference", "hole.fa", hole, "cannot be read: it holds NUL bytes, so it is not text; copy it again"),
    ("fastq", "bomb.fastq.bz2", repeated(b"@r\n", b"A" * 16 * MIB, 640, bz2.compress), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "bomb.fastq.xz", repeated(b"@r\n", b"A" * 16 * MIB, 640, lzma.compress), f"record 1 (line 1): {TOO_LONG}"),
    ("fastq", "bomb.fastq.zst", repeated(b"@r\n", b"A" * 16 * MIB, 640, zstd), f"record 1 (line 1): {TOO_LONG}"),
    # As dense as the bombs, and legitimate: records that end.
    ("fastq", "dense.fastq.gz", repeated(b"", b"@r\nACGT\n+\nIIII\n" * 20_000, 20), 400_000),
    ("fasta", "dense.fa.gz", repeated(b"", b">r\nACGT\n" * 20_000, 20), 400_000),
]  # fmt: skip


def test_nothing_fills_the_memory(tmp_path: Path) -> None:
    for _, name, write, _ in FILES:
        write(tmp_path / name)
    # The reference is bounded by 64 times the size of its file, which is 10 MB here; a smaller one shows the rule as well.
    repeated(b">c\n", b"A" * 16 * MIB, 8)(tmp_path / "reference.fa.gz")
    files = json.dumps([(kind, str(tmp_path / name)) for kind, name, *_ in FILES])
    done = subprocess.run(
        [sys.executable, "-c", READER, str(ADDRESS_SPACE_BYTES), files],
        capture_output=True, text=True, check=False, timeout=300, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcomes, growth_kib = json.loads(done.stdout)
    assert outcomes == [expected for *_, expected in FILES]
    assert growth_kib < GROWTH_KIB


def test_a_file_that_may_not_be_read() -> None:
    """Root may read every file, so it becomes nobody for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "r.fastq"
        path.write_text("@r\nAC\n+\nII\n")
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            for call in (lambda: extension.open_reader(path, "fastq", 100), lambda: sha256_of(path)):
                with pytest.raises(InputError, match=r"r\.fastq: cannot be read: permission denied; chmod it, or run as its owner$"):
                    call()
        finally:
            os.seteuid(user)
