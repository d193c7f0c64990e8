"""Synthetic reads: the same whoever asks, in whatever order."""

from __future__ import annotations

import pytest

from helix_ray.config import Config
from helix_ray.errors import InputError, StartError
from helix_ray.records import Variant
from helix_ray.sources import check_source, extension, generator_version, make_source


def config(**source: object) -> Config:
    return Config.model_validate({"source": source})


def test_blocks_are_addressed_at_random() -> None:
    source = make_source(config(count=120, batch_size=50))
    backwards = [source.block(index) for index in (2, 1, 0)]
    again = make_source(config(count=120, batch_size=50))
    assert [again.block(index) for index in (0, 1, 2)] == backwards[::-1]
    assert [block.read_index for block in backwards if block is not None] == [[*range(100, 120)], [*range(50, 100)], [*range(50)]]
    assert source.block(3) is None
    assert (source.total, source.checksum) == (120, None)


def test_a_read_does_not_depend_on_the_batch_size() -> None:
    small, large = make_source(config(batch_size=7)), make_source(config(batch_size=70))
    rows = [row for index in range(10) if (block := small.block(index)) for row in block.rows()]
    whole = large.block(0)
    assert whole is not None
    assert rows == whole.rows()


def test_a_read() -> None:
    block = make_source(config()).block(3)
    assert block is not None
    read = next(row for row in block.rows() if row.truth)
    assert (read.read_id, read.contig, read.ref_start, read.strand) == (f"hx{read.read_index}", f"hx{read.read_index}", 0, "+")
    assert (read.qual, read.disposition, read.reason, read.identifiable) == (None, None, None, True)
    assert read.truth
    assert isinstance(read.truth[0], Variant)
    assert read.strata
    assert read.strata.keys() == {"gc", "max_homopolymer"}


def test_endless() -> None:
    source = make_source(config(count=None))
    block = source.block(10**9)
    assert block is not None
    assert block.read_index[0] == 50 * 10**9
    assert source.total is None


def test_another_seed_gives_other_reads() -> None:
    one = make_source(config()).block(0)
    two = make_source(Config.model_validate({"run": {"seed": 43}})).block(0)
    assert one is not None
    assert two is not None
    assert one.ref_seq != two.ref_seq


def test_there_is_no_file_to_check() -> None:
    facts = check_source(config())
    assert (facts.checksum, facts.path_checksum, facts.reference_checksum) == (None, None, None)
    assert generator_version() == "1"


def test_a_missing_extension_is_said_and_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "_missing", ImportError("no file"))
    for call in (lambda: make_source(config()), lambda: check_source(config()), generator_version):
        with pytest.raises(StartError, match=r"not built: run `make demo` or `pip install \.`"):
            call()


def test_a_model_that_the_generator_refuses_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"source\.mutation: .*read_length"):
        extension.generate(1, "{}", 0, 1)
