"""The main job on texts: messages in a packed tar of class folders, without a word on task or target."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from tests.e2e.machine import Home

BUDGET_S = 75.0
SPAM = (
    "claim your PRIZE now", "win £1000 cash", "free entry today", "urgent: call 08001234567", "click to collect",
    "last offer!",
)
HAM = ("see you at noon", "home late today", "did you eat?", "call mum, ok", "the meeting has moved", "thanks a lot :)")


def message(label: str, rng: random.Random) -> str:
    parts = rng.sample(SPAM if label == "spam" else HAM, 3) + rng.sample(HAM if label == "spam" else SPAM, 1)
    rng.shuffle(parts)
    return ". ".join(parts) + f" {rng.randrange(10_000)}"


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tar.gz to learn from, and a table of messages that aren't in it."""
    rng = random.Random(4)
    folder = tmp_path_factory.mktemp("messages")
    with tarfile.open(folder / "messages.tar.gz", "w:gz") as archive:
        for label in ("ham", "spam"):
            for i in range(200):
                content = message(label, rng).encode()
                info = tarfile.TarInfo(f"messages/{label}/{i:03d}.txt")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    with (folder / "new.csv").open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        for i in range(40):
            label = "spam" if i % 2 else "ham"
            file.write(f'{label}-{i},"{message(label, rng)}"\n')
    return folder / "messages.tar.gz", folder / "new.csv"


@pytest.mark.slow
def test_messages_are_learned_and_told_apart_by_the_artifacts(home: Home, messages):
    data, new = messages
    out = home.folder / "out"
    said = home.run(
        # One family: a search among all may end in one that takes long to convert.
        "submit", data, "--budget", f"{BUDGET_S:g}s", "--force", "text-bag",
        "--format", "tflite:int8", "--format", "saved-model", "--json", "--out", out,
        timeout_s=3 * BUDGET_S,
    )
    assert said.code == 0, said.err
    result = said.json()
    assert result["task"] == "text-classification"
    assert result["wall_s"] <= 1.05 * BUDGET_S
    assert result["metric"]["test"] > 0.8
    assert "words a text" in (out / "report.html").read_text()
    found = {a["format"]: Path(a["path"]) for a in result["artifacts"]}
    assert set(found) == {"tflite", "saved-model"}, result["refused"]
    for artifact in found.values():
        written = home.folder / "predictions.csv"
        said = home.run("predict", artifact, new, "--out", written)
        assert said.code == 0, said.err
        predictions = [line.split(",")[0] for line in written.read_text().splitlines()[1:]]
        assert len(predictions) == 40
        assert sum(p == ("spam" if i % 2 else "ham") for i, p in enumerate(predictions)) >= 32
