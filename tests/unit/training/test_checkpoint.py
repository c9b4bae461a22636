"""Whatever happens to the newest checkpoint, a whole one is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl.spec import Fidelity, Measurement
from automl.training import checkpoint


def make(epoch: int) -> checkpoint.Checkpoint:
    position = checkpoint.Position(
        recipe="r", part="train", metric="accuracy", fidelity=Fidelity(epochs=9), warm=False, epochs_done=epoch,
        steps_per_epoch=3, best_epoch=epoch, best_score=0.5, best_averaged=False, stale=0,
        measurements=(Measurement(epoch=1, train_loss=0.1, validation={"accuracy": 0.5}, score=0.5, elapsed_s=1, step_s=1),),
        callbacks=({"wait": 3, "best": 0.25, "mode": "min", "model": None},),
    )
    arrays = [np.full((2, i + 1), epoch, np.float32) for i in range(12)]
    return checkpoint.Checkpoint(
        position, arrays, [np.array(7, np.int64)], arrays[:2], np.ones((4, 2), np.float32), {"a/b": np.arange(3)}
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, make(4))
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.position == make(4).position
    for name in ("variables", "optimizer", "best"):
        for a, b in zip(getattr(found, name), getattr(make(4), name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found.averager["a/b"], np.arange(3))


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "foreign", "absent"])
def test_a_damaged_one_counts_as_absent(damage: str, tmp_path: Path) -> None:
    checkpoint.write(tmp_path, make(1))
    checkpoint.write(tmp_path, make(2))
    newest = tmp_path / checkpoint.CURRENT
    data = bytearray(newest.read_bytes())
    if damage == "truncate":
        newest.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        place = data.index(np.full(8, 2, np.float32).tobytes())
        data[place] ^= 0xFF
        newest.write_bytes(data)
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "foreign":
        np.savez(newest, other=np.ones(3))
    else:
        newest.unlink()
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.position.epochs_done == 1
    (tmp_path / checkpoint.PREVIOUS).write_bytes(b"PK")
    assert checkpoint.read(tmp_path) is None


def test_a_full_disk_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.write(tmp_path, make(1))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(tmp_path, make(2))
    monkeypatch.undo()
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.position.epochs_done == 1
    assert not list(tmp_path.glob("*.partial"))
