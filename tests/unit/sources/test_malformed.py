"""Every case of the tables (`input_cases_*.py`) ends as its table says, text for text, and the page says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from helix_ray.config import Config
from helix_ray.errors import InputError
from helix_ray.records import Disposition, Read
from helix_ray.sources import make_source
from support.input_case import Case
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
    source = make_source(config)
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
            beginning, end = expected.split("…")
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
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/unit/input_page.py"
