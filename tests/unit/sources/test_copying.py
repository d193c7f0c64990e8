"""Copies of what cannot be read where it is: standard input, pipes, BAM and CRAM."""

import gzip
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest
import yaml

from helix_ray.config import Config
from helix_ray.errors import InputError
from helix_ray.sources import check_source, copied, is_stream, make_source
from support.input_case import FQ, aligned
from support.sequence_files import genome

READS = b"".join(b"@r%d\n%s\n+\n%s\n" % (n, genome(40, seed=n).encode(), b"I" * 40) for n in range(500))


def config(path: str | Path, kind: str = "fastq", **source: object) -> Config:
    reference = {} if kind == "pairs" else {"reference": "ref.fa"}
    return Config.model_validate({"source": {"kind": kind, "path": str(path), "count": None, **reference, **source}})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stdin() -> Iterator[io.FileIO]:
    """What is written to it comes to standard input; closing it is the end."""
    reads, writes = os.pipe()
    before = os.dup(0)
    os.dup2(reads, 0)
    os.close(reads)
    with io.FileIO(writes, "w") as feed:
        yield feed
    os.dup2(before, 0)
    os.close(before)


def poured(into: io.FileIO, data: bytes) -> threading.Thread:
    def pour() -> None:
        with into:
            view = memoryview(data)
            while view:
                view = view[into.write(view) or 0 :]

    thread = threading.Thread(target=pour)
    thread.start()
    return thread


def test_a_lone_hyphen_of_yaml_is_standard_input() -> None:
    for path in ("-", yaml.safe_load("-")):
        assert Config.model_validate({"source": {"kind": "pairs", "path": path}}).source.path == "-"


def test_standard_input_becomes_a_file_that_is_known_by_what_it_holds(tmp_path: Path, stdin: io.FileIO, said: list[str]) -> None:
    thread = poured(stdin, READS)
    found = copied(config("-"), tmp_path / "input", said.append)
    thread.join()
    assert Path(str(found.source.path)).read_bytes() == READS
    assert [path.name for path in (tmp_path / "input").iterdir()] == [Path(str(found.source.path)).name]
    assert said == [f"Copying standard input to {tmp_path / 'input'} ..."]
    assert (tmp_path / "input").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["fastq", "fasta", "pairs"])
def test_a_pipe_has_the_same_copy_each_time(kind: str, tmp_path: Path, said: list[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert is_stream(str(tmp_path / "pipe"))
    paths = []
    for _ in range(2):
        thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[gzip.compress(READS, mtime=0)])
        thread.start()
        paths.append(copied(config(tmp_path / "pipe", kind), tmp_path / "input", said.append).source.path)
        thread.join()
    assert paths[0] == paths[1]
    assert gzip.decompress(Path(str(paths[0])).read_bytes()) == READS


def test_more_than_the_limit_is_refused_and_leaves_nothing(tmp_path: Path, stdin: io.FileIO, said: list[str]) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / ".part-1").write_bytes(b"of a process that was killed")
    with stdin, pytest.raises(InputError, match=r"^standard input: more than source.copy_limit_mb allows, 1 MB; raise it, or"):
        thread = poured(io.FileIO(os.dup(stdin.fileno()), "w"), bytes(1_000_001))
        stdin.close()
        copied(config("-", copy_limit_mb=1), tmp_path / "input", said.append)
    thread.join()
    assert list((tmp_path / "input").iterdir()) == []


def test_nothing_is_refused(tmp_path: Path, stdin: io.FileIO, said: list[str]) -> None:
    stdin.close()
    with pytest.raises(InputError, match=r"^standard input: is empty$"):
        copied(config("-"), tmp_path, said.append)


def test_a_terminal_is_not_waited_for(tmp_path: Path, said: list[str]) -> None:
    ours, theirs = os.openpty()
    before = os.dup(0)
    os.dup2(theirs, 0)
    try:
        with pytest.raises(InputError, match="is a terminal; pipe the reads in, or name a file"):
            copied(config("-"), tmp_path, said.append)
    finally:
        os.dup2(before, 0)
        for opened in (ours, theirs, before):
            os.close(opened)


def test_where_standard_input_cannot_be_read_is_said(tmp_path: Path) -> None:
    for call in (make_source, check_source):
        with pytest.raises(InputError, match=r"^-: standard input is read by `helix run` alone, as source.path; name a file$"):
            call(config("-"))


def test_what_can_be_read_where_it_is_stays(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "r.fastq").write_bytes(FQ)
    for given in (config(tmp_path / "r.fastq"), config(tmp_path / "gone.bam"), Config.model_validate({})):
        assert copied(given, tmp_path / "input", said.append) is given
    assert said == []
    assert not is_stream(None)


def test_bam_comes_as_samtools_takes_it_out(tmp_path: Path, said: list[str]) -> None:
    aligned("wb", (0, "ACGTTG"), (16, "ACGTTG"), (256, "ACGTTG"), (4, "GGCC"), (2064, "ACGT"))(tmp_path / "r.bam")
    found = copied(config(tmp_path / "r.bam"), tmp_path / "input", said.append)
    pysam.fastq("-n", "-F", "2304", "-0", str(tmp_path / "samtools.fastq"), str(tmp_path / "r.bam"))
    assert Path(str(found.source.path)).read_text() == (tmp_path / "samtools.fastq").read_text() != ""


def test_cram_is_decoded_with_the_reference_of_the_run(tmp_path: Path, said: list[str]) -> None:
    aligned("wc", (0, "ACGTTG"), (16, "ACGTTG"))(tmp_path / "r.cram")
    found = copied(config(tmp_path / "r.cram", reference=str(tmp_path / "contig.fa")), tmp_path / "input", said.append)
    assert Path(str(found.source.path)).read_text() == "@r1\nACGTTG\n+\nABCDEF\n@r2\nCAACGT\n+\nFEDCBA\n"
