"""What a machine offers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from automl.execution import environment, resources

LISTING = "0, GPU-aaaa, NVIDIA H200, 143771\n1, GPU-bbbb, NVIDIA H200, 143771\n"


@pytest.mark.parametrize(
    ("visible", "found"),
    [(None, ["0", "1"]), ("1", ["1"]), ("1,0", ["1", "0"]), ("", []), ("-1", []), ("0,7,1", ["0"]), ("GPU-bb", ["GPU-bb"])],
)
def test_visible_gpus(visible: str | None, found: list[str]) -> None:
    assert [gpu.index for gpu in resources.visible_gpus(LISTING, visible)] == found


def test_a_cpu_slot_hides_every_gpu() -> None:
    assert resources.Slot(0).env == {"CUDA_VISIBLE_DEVICES": "-1"}
    gpu = resources.visible_gpus(LISTING, None)[1]
    assert resources.Slot(0, (gpu,)).env == {"CUDA_VISIBLE_DEVICES": "1"}


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_cores_within_a_control_group(quota: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert resources.cpu_cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))


def test_an_older_control_group(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert resources.cpu_cores(tmp_path) == 1


def test_memory_within_a_control_group(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert resources.memory_bytes(tmp_path) == 2**30
    (tmp_path / "memory.max").write_text("max\n")
    assert resources.memory_bytes(tmp_path) > 2**28


def test_slots_are_dealt_round_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "gpus", lambda: resources.visible_gpus(LISTING, None))
    assert [[gpu.index for gpu in slot.gpus] for slot in resources.slots(3)] == [["0"], ["1"], ["0"]]
    assert [slot.env for slot in resources.slots(1)] == [{"CUDA_VISIBLE_DEVICES": "0,1"}]
    assert len(resources.slots()) == 2
    monkeypatch.setattr(resources, "gpus", lambda: ())
    assert [slot.gpus for slot in resources.slots(3)] == [()] * 3


def test_the_machine_is_one_line() -> None:
    line = resources.machine()
    assert "core" in line
    assert "GiB" in line
    assert "\n" not in line


def test_no_credential_is_passed_on() -> None:
    source = {
        "PATH": "/bin", "LC_ALL": "C", "CUDA_HOME": "/cuda", "AUTOML_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "DATABASE_URL": "x", "TF_API_KEY": "x", "NVIDIA_TOKEN": "x", "OMP_NUM_THREADS": "4",
    }
    assert environment.allowed(source) == {"PATH": "/bin", "LC_ALL": "C", "CUDA_HOME": "/cuda", "OMP_NUM_THREADS": "4"}


def test_a_slots_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots share the machine's memory, or that of the GPUs they are dealt."""
    monkeypatch.setattr(resources, "memory_bytes", lambda: 3 * 2**30)
    cores = tuple(resources.Slot(n) for n in range(3))
    assert [resources.room_bytes(slot, cores) for slot in cores] == [2**30] * 3
    first, second = resources.Gpu("0", "a", 8 * 2**30), resources.Gpu("1", "b", 6 * 2**30)
    dealt = (resources.Slot(0, (first,)), resources.Slot(1, (second,)), resources.Slot(2, (first,)))
    assert [resources.room_bytes(slot, dealt) for slot in dealt] == [4 * 2**30, 6 * 2**30, 4 * 2**30]
    whole = (resources.Slot(0, (first, second)),)
    assert resources.room_bytes(whole[0], whole) == 14 * 2**30
