"""The house is in order: what is generated is fresh, what is promised exists, nothing tells of the machine behind it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def tracked() -> list[Path]:
    """Files that git knows or would add; of a source archive, all there are."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        kept = ("automl", "client", "server", "protos", "tests", "docs", "benchmarks", "examples")
        return [p for folder in kept for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return [p for name in listed.stdout.split("\0") if name and (p := ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:4096]:
            found.append((path, data.decode("utf-8", errors="replace")))
    return found


def python_files() -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py" and not p.name.endswith(("_pb2.py", "_pb2_grpc.py"))]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("script", ["protos/generate.py", "docs/generate.py"])
def test_what_is_generated_is_fresh(script):
    done = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    """Neither this checkout's place nor anybody's home (but the made-up "somebody" of tests)."""
    places = re.compile(rf"{re.escape(str(ROOT))}(?![\w-])|/home/(?!somebody/)[a-z]\w*/|/Users/[A-Za-z]\w*/|[A-Z]:\\Users\\")
    found = [f"{relative(p)}: {m[0]}" for p, text in texts() if (m := places.search(text))]
    assert found == []


def test_pins_have_no_address_and_cover_every_dependency():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line) for line in lines)
    pinned = {canonical(line.partition("==")[0]) for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["server"],
        *project["optional-dependencies"]["dev"],
    ]
    assert {canonical(re.split(r"[<>=\[;~! ]", requirement)[0]) for requirement in wanted} <= pinned


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_base_install_is_the_client():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {canonical(re.split(r"[<>=\[;~! ]", requirement)[0]) for requirement in project["dependencies"]}
    assert not base & {"tensorflow", "keras", "pandas", "pyarrow", "scikit-learn", "sqlalchemy", "pydantic", "matplotlib"}


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    assert {"demo", "test", "test-all", "check", "bench", "protos", "docs", "clean"} <= targets
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / ".ci" / "run", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        named = re.findall(r"(?:^|`|\s)make ([a-z][\w-]*)(?=[`\s|.,;)])", code_of(page))
        assert set(named) <= targets, relative(page)


def code_of(page: Path) -> str:
    """The code blocks and code spans of a Markdown page; a script whole."""
    text = page.read_text()
    return text if page.suffix != ".md" else "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def test_links_between_the_pages_lead_somewhere():
    dead = []
    for page in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / target).exists():
                dead.append(f"{relative(page)} → {target}")
    assert dead == []


def test_every_module_says_what_it_is():
    silent = [
        relative(p)
        for p in python_files()
        if p.read_text().strip()
        and "migrations/versions" not in relative(p)
        and ast.get_docstring(ast.parse(p.read_text())) is None
        and not relative(p).startswith("protos/automl_protos")
    ]
    assert silent == []


def test_no_module_is_a_dumping_ground():
    assert [relative(p) for p in python_files() if p.stem in ("utils", "util", "common", "helpers", "misc", "manager")] == []


def test_the_continuous_integration_runs_what_a_developer_runs():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make .*$", script.read_text(), re.MULTILINE) == ["make test", "make check"]


def test_the_changelog_has_the_current_version():
    from automl import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{__version__}]" in text or "## [Unreleased]" in text


def test_no_merge_was_left_half_done() -> None:
    marks = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert [str(p) for p in tracked() if p.is_file() and marks.search(p.read_bytes())] == []
