"""Answers on disk: what outlives a process, what is replayed, and what of a damaged file."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helix_ray.records import Receipt
from helix_ray.storage.spool import Spool, decoded, discard, encoded, orphans

AT = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


def receipt(number: int, size: int = 20) -> Receipt:
    return Receipt(f"call-{number}", [number, number + 1], AT, 200, bytes(range(256))[:size])


THREE = [receipt(number) for number in range(3)]
DATA = b"".join(map(encoded, THREE))
ENDS = [len(b"".join(map(encoded, THREE[:count]))) for count in range(4)]

DIES = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from helix_ray.records import Receipt
from helix_ray.storage.spool import Spool
spool = Spool(Path(sys.argv[1]))
for number in range(3):
    spool.keep(Receipt(f"call-{number}", [number, number + 1], datetime(2026, 1, 2, 3, 4, 5, 678, UTC), 200, bytes(range(20))))
os.kill(os.getpid(), 9)
"""


def test_whole_records_are_read_whatever_the_cut() -> None:
    for cut in range(len(DATA) + 1):
        whole = sum(end <= cut for end in ENDS[1:])
        assert decoded(DATA[:cut]) == (THREE[:whole], ENDS[whole])


def test_no_record_is_read_from_a_damaged_byte_on() -> None:
    for at in range(len(DATA)):
        damaged = DATA[:at] + bytes([DATA[at] ^ 0x40]) + DATA[at + 1 :]
        whole = sum(end <= at for end in ENDS[1:])
        assert decoded(damaged) == (THREE[:whole], ENDS[whole])


def test_a_killed_process_leaves_all_that_it_received(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "spool" / "dead"
    assert subprocess.run([sys.executable, "-c", DIES, str(path)], check=False).returncode == -9
    assert path.stat().st_mode & 0o077 == 0
    with path.open("ab") as file:
        file.write(encoded(receipt(3))[:-1])
    (left,) = orphans(path.parent)
    assert left.receipts == THREE
    assert "damaged after 3 answers" in caplog.text
    assert orphans(path.parent) == [left], "they stay until they are on record"
    discard([left])
    assert orphans(path.parent) == []


def test_the_file_of_a_live_process_is_left_alone_and_is_empty_once_all_is_on_record(tmp_path: Path) -> None:
    path = tmp_path / "run" / "alive"
    spool = Spool(path)
    spool.close()
    spool = Spool(path)
    assert orphans(path.parent) == []
    for each in THREE:
        spool.keep(each)
    spool.forget(["call-0", "call-1"])
    assert (path.stat().st_size, orphans(path.parent)) == (len(DATA), [])
    spool.forget(["call-2"])
    assert path.stat().st_size == 0
    spool.keep(receipt(3))
    assert decoded(path.read_bytes()) == ([receipt(3)], path.stat().st_size)
    spool.close()
    assert path.exists(), "one is not on record"
    spool.forget(["call-3"])
    assert not path.parent.exists()


def test_it_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path / "full", max_bytes=ENDS[2])
    for each in THREE:
        spool.keep(each)
    assert decoded((tmp_path / "full").read_bytes())[0] == THREE[:2]
    assert "kept in memory only" in caplog.text


def test_a_disk_that_is_full_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, write = Spool(tmp_path / "full"), os.write
    spool.keep(THREE[0])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))
        spool.keep(THREE[1])
    spool.keep(THREE[2])
    assert decoded((tmp_path / "full").read_bytes()) == ([THREE[0], THREE[2]], ENDS[2])
