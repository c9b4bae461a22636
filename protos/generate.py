"""Generates the Python code beside the .proto files; with `--check` compares instead, and names what is stale.

    python protos/generate.py [--check]

Run by `make protos` and `make check`. Needs the extra `dev` (grpcio-tools).
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent
PACKAGE = "automl_protos/v1"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def generate(out: Path) -> None:
    """Writes the generated modules under `out`. Raises `SystemExit` when protoc refuses a file; it has printed why."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).glob("*.proto"))
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{well_known}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
    ]
    if protoc.main([*arguments, *sources]) != 0:
        raise SystemExit(1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for pattern in GENERATED for path in (folder / PACKAGE).glob(pattern)}


def stale() -> list[str]:
    """Names of checked-in modules that differ from what the .proto files give, are missing, or have no .proto any more."""
    with tempfile.TemporaryDirectory() as fresh:
        generate(Path(fresh))
        wanted, there = contents(Path(fresh)), contents(ROOT)
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is checked in; exit 1 when it is stale")
    if not parser.parse_args().check:
        generate(ROOT)
        return 0
    if names := stale():
        print(f"stale in protos/{PACKAGE}: {', '.join(names)}\nRun `make protos`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
