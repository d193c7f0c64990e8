from pathlib import Path

import pytest

from helix_ray.storage.embedded import server
from helix_ray.storage.embedded.server import root_data_dir


@pytest.fixture(autouse=True)
def data_dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(server, "DATA_DIRS", tmp_path / "data")
    return tmp_path / "data"


def home(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_home_keeps_its_data_dir_and_does_not_share_it(tmp_path: Path) -> None:
    first, second = home(tmp_path, "a"), home(tmp_path, "b")
    place = root_data_dir(first)
    assert root_data_dir(second) != place
    assert root_data_dir(first) == place
    assert (first / "postgres").readlink() == place / "postgres"


def test_the_data_dir_of_a_home_that_is_gone_is_removed_with_the_next(tmp_path: Path, data_dirs: Path) -> None:
    gone = home(tmp_path, "gone")
    (root_data_dir(gone) / "data").write_text("x")
    (gone / "postgres").unlink()
    gone.rmdir()
    place = root_data_dir(home(tmp_path, "next"))
    assert list(data_dirs.iterdir()) == [place]


def test_a_link_of_a_copied_home_does_not_lead_to_the_originals_data(tmp_path: Path) -> None:
    original, copy = home(tmp_path, "original"), home(tmp_path, "copy")
    place = root_data_dir(original)
    (copy / "postgres").symlink_to((original / "postgres").readlink())
    assert root_data_dir(copy) != place
    assert root_data_dir(original) == place
