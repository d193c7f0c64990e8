"""What doctor says of an input file. Its other checks start parts: tests/acceptance has them."""

from pathlib import Path

import pytest

from helix_ray.cli.doctor import _input
from helix_ray.config import Config
from helix_ray.errors import InputError
from support.sequence_files import genome, write_reference

REFERENCE = genome(5000)
SHORT, STRANGER = REFERENCE[:24], genome(150, seed=99)


def found(folder: Path, reads: list[str]) -> str:
    write_reference(folder / "ref.fa", REFERENCE)
    (folder / "reads.fa").write_text("".join(f">r{number}\n{read}\n" for number, read in enumerate(reads)))
    source = {"kind": "fasta", "path": str(folder / "reads.fa"), "reference": str(folder / "ref.fa"), "count": None}
    return _input(Config.model_validate({"source": source}))


def test_doctor_says_what_becomes_of_the_first_records(tmp_path: Path) -> None:
    assert found(tmp_path, [REFERENCE[100:250]] * 3).endswith("; of the first 3 records 3 will be analysed")
    told = found(tmp_path, [REFERENCE[100:125], SHORT, STRANGER, STRANGER])
    reasons = "1 too short: reads can be placed from 25 bases on, 2 with no place on the reference"
    assert told.endswith(f"; of the first 4 records 1 will be analysed, {reasons}")


def test_a_file_of_which_nothing_can_be_analysed_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the first 2 records can be analysed: 2 too short: .* from 25 bases on$"):
        found(tmp_path, [SHORT] * 2)
