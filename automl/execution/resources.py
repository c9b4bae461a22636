"""What this machine offers to trials: one slot a GPU, else one a CPU core. Read without importing TensorFlow or JAX."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

GPU_QUERY_S = 10.0
"""Limit on `nvidia-smi`, which hangs on a broken driver."""


@dataclasses.dataclass(frozen=True)
class Gpu:
    index: str
    """As `CUDA_VISIBLE_DEVICES` takes it: a number or a UUID."""
    name: str
    memory_bytes: int


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place for one trial at a time."""

    number: int
    gpus: tuple[Gpu, ...] = ()
    """Several where there are more GPUs than slots; a trial uses the first, with the technique data-parallel all of them."""

    @property
    def env(self) -> dict[str, str]:
        """Which devices a worker in this slot may see. In a CPU slot none, so that a trial never falls on a GPU that
        nobody gave it."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpu.index for gpu in self.gpus) or "-1"}


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that this process may use: those of `nvidia-smi` that `CUDA_VISIBLE_DEVICES` doesn't hide.
    None where there is no `nvidia-smi`, or it fails."""
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=GPU_QUERY_S, check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return visible_gpus(answer.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible_gpus(listing: str, visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs of an `nvidia-smi` listing (index, uuid, name, MiB) that `CUDA_VISIBLE_DEVICES` = `visible` leaves; None
    leaves all. As CUDA has it, the first entry that names no GPU hides those after it."""
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines() if line.strip()]
    found = {index: Gpu(index, name, int(float(mebibytes)) * 2**20) for index, _, name, mebibytes in rows}
    if visible is None:
        return tuple(found.values())
    by_uuid = {uuid: found[index] for index, uuid, _, _ in rows}
    chosen = []
    for entry in (part.strip() for part in visible.split(",")):
        gpu = found.get(entry) or next((g for uuid, g in by_uuid.items() if entry and uuid.startswith(entry)), None)
        if gpu is None:
            break
        chosen.append(dataclasses.replace(gpu, index=entry))
    return tuple(chosen)


def cpu_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: its affinity, bounded by the control group's quota; at least 1."""
    cores = float(len(os.sched_getaffinity(0)))
    version_2, quota, period = cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_quota_us", cgroup / "cpu/cpu.cfs_period_us"
    if version_2.is_file():
        limit, _, interval = version_2.read_text().strip().partition(" ")
        if limit != "max":
            cores = min(cores, int(limit) / int(interval or 100_000))
    elif quota.is_file() and period.is_file() and (limited := int(quota.read_text())) > 0:
        cores = min(cores, limited / int(period.read_text()))
    return max(1, int(cores))


def memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that this process may use: the machine's, bounded by the control group's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in (cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes"):
        if file.is_file() and (text := file.read_text().strip()) != "max":
            return min(total, int(text))
    return total


def slots(count: int | None = None) -> tuple[Slot, ...]:
    """`count` slots (None: one a GPU, or where there is none, one a CPU core). The fewer, slots or GPUs, are
    dealt round."""
    cards = gpus()
    number = count if count is not None else len(cards) or cpu_cores()
    if not cards:
        return tuple(Slot(n) for n in range(number))
    return tuple(Slot(n, cards[n::number] or (cards[n % len(cards)],)) for n in range(number))


def room_bytes(slot: Slot, slots: Sequence[Slot]) -> int:
    """Memory that each trial may count on while all `slots` are busy: its share of the slot's GPUs, on a CPU of what this
    process may use. Of several GPUs the sum: only with data-parallel are all used, but what exceeds it fits nowhere."""
    if not slot.gpus:
        return memory_bytes() // max(1, len(slots))
    users = [sum(gpu in other.gpus for other in slots) for gpu in slot.gpus]
    return sum(gpu.memory_bytes // max(1, count) for gpu, count in zip(slot.gpus, users))


def machine() -> str:
    """The machine as a line for reports: processor, cores, memory, GPUs."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    cores = cpu_cores()
    parts = [model, f"{cores} core{'s' if cores != 1 else ''}", f"{memory_bytes() / 2**30:.0f} GiB"]
    return ", ".join(parts + [f"{gpu.name} ({gpu.memory_bytes / 2**30:.0f} GiB)" for gpu in gpus()])
