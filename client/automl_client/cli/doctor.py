"""`automl doctor`: what this machine has, and what is in the way."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

_PACKAGES = ("grpcio", "protobuf", "numpy", "ai-edge-litert", "pillow", "keras", "keras-tuner", "tensorflow")
_LEAST_FREE_BYTES = 2 * 10**9
_LEAST_MEMORY_BYTES = 3 * 10**9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `problem` says what is in the way and what to do; empty when all is well."""

    id: str
    value: Any
    problem: str = ""


@click.command(short_help="Look at this machine and installation.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with the checks.")
def doctor(as_json: bool) -> int:
    """Look at Python, packages, the server part, TensorFlow, cores, memory, disk, the socket and the store.

    The exit code is 1 when something is in the way.
    """
    from automl_client.cli import output

    checks = list(_checks())
    bad = [check for check in checks if check.problem]
    if as_json:
        output.emit({"ok": not bad, "checks": checks})
    else:
        for check in checks:
            click.echo(output.clean(f"{'!!' if check.problem else 'ok'}  {check.id + ':':<22}{_text(check.value)}"))
            if check.problem:
                click.echo(output.clean(f"    {check.problem}"))
    return 1 if bad else 0


def _checks() -> list[Check]:
    from automl_client import embedded, proofs

    place = embedded.Place.of()
    checks = [
        Check("python", platform.python_version(), "" if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed."),
        Check("system", platform.platform(terse=True)),
        *(_package(name) for name in _PACKAGES),
    ]
    missing = embedded.missing_parts()
    checks.append(
        Check(
            "server part", not missing,
            f"{', '.join(missing)} not found: pip install 'automl[server]' to run jobs on this machine." if missing else "",
        )
    )
    if "tensorflow" not in missing:
        checks.append(_tensorflow())
    checks += [Check("cores", _cores()), _memory(), _disk(place.home)]
    checks.append(Check("home", str(place.home), _unwritable(place.home)))
    if os.name == "posix":
        checks.append(Check("server running", embedded.is_running(place)))
        checks.append(Check("socket", str(place.socket)))
    checks.append(Check("store size", _store_bytes(place.data)))
    checks.append(Check("signing keys", sorted(proofs.known_keys(place.home))))
    return checks


def _package(name: str) -> Check:
    from importlib import metadata

    try:
        return Check(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        needed = name not in ("keras", "keras-tuner", "tensorflow")
        return Check(name, None, f"pip install {name}" if needed else "")


def _tensorflow() -> Check:
    """TensorFlow by importing it, in a process of its own: that it is installed doesn't mean that it loads."""
    code = (
        "import tensorflow as tf; print(tf.__version__, len(tf.config.list_physical_devices('CPU')), "
        "len(tf.config.list_physical_devices('GPU')))"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("tensorflow loads", False, "Importing TensorFlow took more than two minutes.")
    words = done.stdout.split()
    if done.returncode or len(words) != 3:
        last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        return Check("tensorflow loads", False, f"TensorFlow is installed and doesn't load: {last}")
    return Check("tensorflow loads", {"version": words[0], "gpus": int(words[2])})


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> Check:
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return Check("memory bytes", None)
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Check("memory bytes", size, "" if size >= _LEAST_MEMORY_BYTES else "Less than 3 GB: searches may run out of it.")


def _disk(home: Path) -> Check:
    folder = next(one for one in (home, *home.parents) if one.exists())
    free = shutil.disk_usage(folder).free
    return Check("disk free bytes", free, "" if free >= _LEAST_FREE_BYTES else "Less than 2 GB: free some room.")


def _unwritable(home: Path) -> str:
    folder = next(one for one in (home, *home.parents) if one.exists())
    return "" if os.access(folder, os.W_OK) else f"{folder} can't be written: name another folder with AUTOML_HOME."


def _store_bytes(data: Path) -> int:
    return sum(file.stat().st_size for file in data.rglob("*") if file.is_file()) if data.is_dir() else 0


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not installed"
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
