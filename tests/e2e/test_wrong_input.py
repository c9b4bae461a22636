"""Whatever a user does wrong is answered with its place and a remedy, the right exit code, and no traceback."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Home

Make = Callable[[Path], Path]
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "data" / "penguins.csv")
WORDS = "a,b,label\n" + "".join(f"{i % 7},{i * 13 % 11},{('yes', 'no', 'perhaps')[i % 3]}\n" for i in range(120))
GOOD = "a,b,label\n" + "".join(f"{i % 7},{i * 13 % 11},{'yes' if i % 3 else 'no'}\n" for i in range(120))
SERIES = "@problemName x\n@classLabel true a b\n@data\n" + "".join(
    f"{i},{i + 1},{i % 5}:{i % 3},1,2:{'ab'[i % 2]}\n" for i in range(20)
)


def file(name: str, content: str | bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def corrupt_pictures(folder: Path) -> Path:
    path = folder / "broken.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for label in ("cat", "dog"):
            for i in range(10):
                archive.writestr(f"{label}/{i}.png", b"\x89PNG\r\n\x1a\n but nothing after it")
    return path


def climbing_archive(folder: Path) -> Path:
    path = folder / "climbing.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.png", b"x")
    return path


@dataclasses.dataclass(frozen=True)
class Case:
    """What is done wrong, and what the answer has to contain."""

    name: str
    data: Make
    options: tuple[str, ...]
    says: tuple[str, ...]
    code: int = 2


TARGET = ("--target", "label")
CASES = [
    Case("a missing file", lambda folder: folder / "nowhere.csv", TARGET, ("nowhere.csv",)),
    Case("an empty file", file("empty.csv", ""), TARGET, ("empty",)),
    Case("a header and nothing else", file("header.csv", "a,b,label\n"), TARGET, ("row",)),
    Case("ragged rows", file("ragged.csv", GOOD + "1,2,yes,4,5\n3,no\n"), TARGET, ("row 121",)),
    Case("a target that isn't there", file("good.csv", GOOD), ("--target", "lable"), ("--target", "lable", "label")),
    Case("no target", file("good.csv", GOOD), (), ("target", "label")),
    Case("a single class", file("one.csv", GOOD.replace(",no", ",yes")), TARGET, ("single value", "yes")),
    Case(
        "a target without values",
        file("void.csv", "a,b,label\n" + "".join(f"{i % 7},{i * 13 % 11},\n" for i in range(60))),
        TARGET,
        ("label", "no values"),
    ),
    Case("nothing to learn from", file("only.csv", "label\n" + "yes\nno\n" * 40), TARGET, ("column",)),
    Case("corrupt pictures", corrupt_pictures, (), ("png",)),
    Case("an archive that climbs out", climbing_archive, (), ("climbing.zip",)),
    Case("series without a header", file("bare.ts", "1,2,3:a\n4,5,6:b\n"), (), ("bare.ts, line 1", "header")),
    Case("a header that is none", file("odd.ts", SERIES.replace("@problemName", "@problem")), (), ("line 1", "@problem")),
    Case("ragged dimensions", file("ragged.ts", SERIES + "1,2,3:1,2:a\n"), (), ("line 24", "dimension 2 has 2 values")),
    Case("a word in a series", file("word.ts", SERIES + "1,2,x:1,2,3:a\n"), (), ("line 24", "number", "'x'")),
    Case("series of one class", file("one.ts", SERIES.replace(":b\n", ":a\n")), (), ("label", "single value")),
    Case("series without labels", file("bare.ts", "@classLabel false\n@data\n" + "1,2,3\n" * 20), (), ("task",)),
    Case("a file of no known kind", file("notes.docx", "hello"), TARGET, ("notes.docx",)),
    Case("binary in a table", file("nul.csv", b"a,b,label\n1,\x00\x00,yes\n"), TARGET, ("nul.csv",)),
    Case(
        "an unknown task",
        file("good.csv", GOOD),
        (*TARGET, "--task", "tabular-clasification"),
        ("--task", "tabular-classification"),
    ),
    Case(
        "a task for other data",
        file("good.csv", GOOD),
        (*TARGET, "--task", "image-classification"),
        ("--task", "image-classification"),
    ),
    Case("numbers wanted of words", file("words.csv", WORDS), (*TARGET, "--task", "tabular-regression"), ("label", "yes")),
    Case("an unknown technique", file("good.csv", GOOD), (*TARGET, "--force", "adamww"), ("--force", "adamw")),
    Case("an unknown format", file("good.csv", GOOD), (*TARGET, "--format", "tflight"), ("--format", "tflite")),
    Case(
        "a precision a format lacks", file("good.csv", GOOD), (*TARGET, "--format", "saved-model:int8"), ("int8", "float32")
    ),
    Case("an unknown metric", file("good.csv", GOOD), (*TARGET, "--metric", "accurracy"), ("--metric", "accuracy")),
    Case(
        "forced and forbidden",
        file("good.csv", GOOD),
        (*TARGET, "--force", "adamw", "--forbid", "adamw"),
        ("adamw", "forbidden"),
    ),
    Case("two optimizers forced", file("good.csv", GOOD), (*TARGET, "--force", "adamw", "--force", "sgd"), ("adamw", "sgd")),
    Case("a limit below any file", file("good.csv", GOOD), (*TARGET, "--max-size", "10B"), ("10 bytes", "allow at least")),
    Case("a budget of nothing", file("good.csv", GOOD), (*TARGET, "--budget", "0s"), ("--budget",)),
    Case("a budget that is no time", file("good.csv", GOOD), (*TARGET, "--budget", "soon"), ("--budget", "soon")),
    Case(
        "a column that isn't there", file("good.csv", GOOD), (*TARGET, "--group-column", "shop"), ("--group-column", "shop")
    ),
    Case(
        "two ways to split",
        file("good.csv", GOOD),
        (*TARGET, "--split-column", "a", "--test-data", "DATA"),
        ("--split-column", "test"),
    ),
    Case("a folder that is a file", file("good.csv", GOOD), (*TARGET, "--out", "DATA"), ("--out",)),
    Case(
        "a server that isn't there", file("good.csv", GOOD), (*TARGET, "--server", "127.0.0.1:9"), ("127.0.0.1:9",), code=1
    ),
    Case("an address that is none", file("good.csv", GOOD), (*TARGET, "--server", "http://x:y"), ("--server",)),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    user = Home(tmp_path_factory.mktemp("careless"))
    yield user
    user.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_names_the_place_and_the_remedy(home: Home, tmp_path: Path, case: Case):
    data = case.data(tmp_path)
    options = [str(data) if option == "DATA" else option for option in case.options]
    # Should a mistake not be noticed, the search that begins is a short one.
    budget = () if "--budget" in options else ("--budget", "20s")
    said = home.run("submit", data, *options, *budget, "--json", timeout_s=90)
    assert said.code == case.code, said.err + said.out
    assert "Traceback" not in said.err + said.out
    assert str(Path(__file__).parents[2]) not in said.err
    for words in case.says:
        assert words in said.err, said.err
    if '"error"' in said.out:
        error = said.json()["error"]
        assert error["reason"] == error["reason"].upper()


def test_all_faults_of_a_request_are_named_at_once(home: Home, tmp_path: Path):
    data = file("good.csv", GOOD)(tmp_path)
    said = home.run(
        "submit",
        data,
        "--target",
        "label",
        "--metric",
        "nonsense",
        "--force",
        "no-such-technique",
        "--format",
        "tflight",
        "--ignore",
        "nowhere",
        timeout_s=60,
    )
    assert said.code == 2
    for words in ("nonsense", "no-such-technique", "tflight", "nowhere"):
        assert words in said.err


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("jobs", "show", "no-such-job"), "no-such-job", 2),
        (("predict", "nowhere.tflite", EXAMPLE), "nowhere.tflite", 2),
        (("report", "no-such-job"), "no-such-job", 2),
        (("reproduce", "nowhere.json", EXAMPLE), "nowhere.json", 2),
        (("techniques", "--task", "alchemy"), "alchemy", 2),
        (("submitt",), "submitt", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_other_commands_answer_in_the_same_way(home: Home, arguments, words, code):
    said = home.run(*arguments)
    assert said.code == code, said.err
    assert words in said.err
    assert "Traceback" not in said.err


def test_a_full_disk_is_named(home: Home, tmp_path: Path):
    """`/dev/full` answers every write as a full disk does."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    said = home.run("tasks", "--json")
    assert said.code == 0, said.err
    with full.open("w") as device:
        import subprocess

        from tests.e2e.machine import COMMAND

        done = subprocess.run(
            [str(COMMAND), "tasks", "--json"],
            env=home.environment(),
            stdout=device,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "space" in done.stderr
