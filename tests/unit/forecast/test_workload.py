"""What is known of a source before the run: its length, and reads that stand for the others."""

from pathlib import Path
from typing import Any

import pytest

from helix_ray.config import Config
from helix_ray.errors import InputError
from helix_ray.forecast import workload
from helix_ray.forecast.workload import sample_source

WINDOW = "ACGGTTAGCATCCGATAACTGGCATTACGA"


def pairs(folder: Path, records: int, n_from: int | None = None, **source: Any) -> Config:
    """Pairs, of which those from ``n_from`` on have two differences."""
    changed = "T" + WINDOW[1:14] + "C" + WINDOW[15:]
    lines = [f"r{index}\t{WINDOW}\t{WINDOW if n_from is None or index < n_from else changed}" for index in range(records)]
    path = folder / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n")
    return Config.model_validate({"source": {"kind": "pairs", "path": str(path), "count": None, **source}})


def stood_for(config: Config) -> float:
    return sum(read.stands_for for read in sample_source(config).reads)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 2000, 12_345, 10**9])
def test_synthetic_reads_are_sampled_over_the_whole_run(count: int) -> None:
    config = Config.model_validate({"source": {"count": count}})
    found = sample_source(config)
    assert (found.records, found.whole, found.analysed_share) == (count, True, 1.0)
    assert found.looked_at == min(count, 2000) or count == 12_345
    assert 0 < found.looked_at <= 2000 + 50


def test_an_endless_source_has_no_length() -> None:
    found = sample_source(Config.model_validate({"source": {"count": None}}))
    assert (found.records, found.looked_at) == (None, 2000)


def test_ns_are_no_differences() -> None:
    config = Config.model_validate({"source": {"count": 200, "mutation": {"n_rate": 0.2, "variants_per_read": [1.0]}}})
    found = sample_source(config)
    assert any("N" in read.seq for read in found.reads)
    assert not any(read.calls for read in found.reads)


@pytest.mark.parametrize("records", [1, 50, 51, 2000, 2001, 7777])
def test_a_file_is_counted_to_its_end(records: int, tmp_path: Path) -> None:
    found = sample_source(pairs(tmp_path, records))
    assert (found.records, found.whole, found.analysed_share) == (records, True, pytest.approx(1.0))
    assert stood_for(pairs(tmp_path, records)) == pytest.approx(records)


def test_or_to_the_count_of_the_run(tmp_path: Path) -> None:
    assert sample_source(pairs(tmp_path, 300, count=120)).records == 120
    assert sample_source(pairs(tmp_path, 30, count=120)).records == 30


def test_what_lies_beyond_the_start_is_looked_at_too(tmp_path: Path) -> None:
    found = sample_source(pairs(tmp_path, 30_000, n_from=10_000))
    assert found.looked_at < 10_000
    with_calls = sum(read.stands_for for read in found.reads if read.calls)
    assert with_calls == pytest.approx(20_000, abs=1_500)


def test_counting_ends_somewhere_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "MAX_COUNTED", 5000)
    counted: list[int] = []
    found = sample_source(pairs(tmp_path, 30_000), counted.append)
    assert found.whole is False
    assert found.records is not None
    assert 5000 <= found.records < 6000
    assert counted == sorted(counted)
    assert counted[-1] == found.records


def test_records_that_are_not_sent_are_left_out(tmp_path: Path) -> None:
    config = pairs(tmp_path, 4, max_read_length=31)
    path = Path(str(config.source.path))
    path.write_text(path.read_text() + f"long\t{WINDOW * 2}\t{WINDOW * 2}\n")
    found = sample_source(config)
    assert (found.records, found.analysed_share, len(found.reads)) == (5, pytest.approx(0.8), 4)
    assert found.left_out == {"too_long": 1}


def test_a_file_that_cannot_be_read_is_refused_as_by_the_run(tmp_path: Path) -> None:
    config = pairs(tmp_path, 4)
    Path(str(config.source.path)).unlink()
    with pytest.raises(InputError, match="no such file"):
        sample_source(config)
