"""The file that is given up on a full disk."""

from pathlib import Path

from automl_server.ballast import SIZE, Ballast


def test_it_takes_room_and_gives_it_up_once(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path)
    assert not ballast.release()
    ballast.fill()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= SIZE
    ballast.fill()
    assert ballast.release()
    assert not ballast.release()
    assert list(tmp_path.iterdir()) == []


def test_without_room_it_does_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    Ballast(folder).fill()
    assert not folder.exists()
