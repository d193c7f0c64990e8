from pathlib import Path

import pytest

from helix_ray.storage import shelter


@pytest.fixture(autouse=True)
def shelters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shelter, "SHELTERS", tmp_path / "shelters")
    return tmp_path / "shelters"


def home(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_home_keeps_its_shelter_and_shares_it_with_nobody(tmp_path: Path) -> None:
    first, second = home(tmp_path, "a"), home(tmp_path, "b")
    place = shelter.shelter_of(first)
    assert shelter.shelter_of(second) != place
    assert shelter.shelter_of(first) == place
    assert (first / "postgres").readlink() == place / "postgres"


def test_the_shelter_of_a_home_that_is_gone_is_removed_with_the_next(tmp_path: Path, shelters: Path) -> None:
    gone = home(tmp_path, "gone")
    (shelter.shelter_of(gone) / "data").write_text("x")
    (gone / "postgres").unlink()
    gone.rmdir()
    place = shelter.shelter_of(home(tmp_path, "next"))
    assert list(shelters.iterdir()) == [place]


def test_a_link_of_a_copied_home_does_not_lead_to_the_originals_data(tmp_path: Path) -> None:
    original, copy = home(tmp_path, "original"), home(tmp_path, "copy")
    place = shelter.shelter_of(original)
    (copy / "postgres").symlink_to((original / "postgres").readlink())
    assert shelter.shelter_of(copy) != place
    assert shelter.shelter_of(original) == place
