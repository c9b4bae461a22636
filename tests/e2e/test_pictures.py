"""The main job on pictures: drawn shapes in a zip of class folders, of mixed modes and sizes, two of them broken."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.e2e.machine import Home

BUDGET_S = 75.0
CLASSES = ("circle", "cross", "square")


def drawn(shape: str, rng: random.Random) -> Image.Image:
    """One shape somewhere on noise-coloured ground; sizes and modes differ from picture to picture."""
    side = rng.choice((28, 32, 32, 32, 40))
    ground = tuple(rng.randrange(0, 110) for _ in range(3))
    ink = tuple(rng.randrange(150, 256) for _ in range(3))
    picture = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(picture)
    r = rng.randrange(side // 5, side // 3)
    x, y = rng.randrange(r + 1, side - r - 1), rng.randrange(r + 1, side - r - 1)
    box = (x - r, y - r, x + r, y + r)
    if shape == "circle":
        draw.ellipse(box, outline=ink, width=2)
    elif shape == "square":
        draw.rectangle(box, outline=ink, width=2)
    else:
        draw.line((x - r, y - r, x + r, y + r), fill=ink, width=2)
        draw.line((x - r, y + r, x + r, y - r), fill=ink, width=2)
    return picture.convert(rng.choice(("RGB", "RGB", "RGB", "L", "RGBA", "P")))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A zip to learn from, and a folder of pictures that aren't in it."""
    rng = random.Random(11)
    folder = tmp_path_factory.mktemp("pictures")
    with zipfile.ZipFile(folder / "shapes.zip", "w") as archive:
        for shape in CLASSES:
            for i in range(160):
                content = io.BytesIO()
                drawn(shape, rng).save(content, "PNG")
                archive.writestr(f"shapes/{shape}/{i:03d}.png", content.getvalue())
        archive.writestr("shapes/circle/broken.png", b"no picture")
        archive.writestr("shapes/square/cut.png", content.getvalue()[:40])
    for shape in CLASSES:
        (folder / "new" / shape).mkdir(parents=True)
        for i in range(20):
            drawn(shape, rng).save(folder / "new" / shape / f"{shape}-{i:02d}.png")
    return folder / "shapes.zip", folder / "new"


def test_shapes_are_learned_and_told_apart_by_the_artifact(home: Home, pictures):
    data, new = pictures
    out = home.folder / "out"
    said = home.run("submit", data, "--budget", f"{BUDGET_S:g}s", "--json", "--out", out, timeout_s=3 * BUDGET_S)
    assert said.code == 0, said.err
    result = said.json()
    assert result["task"] == "image-classification"
    assert result["wall_s"] <= 1.05 * BUDGET_S
    assert result["metric"]["test"] > 0.6  # chance is 0.33
    assert {(a["format"], a["precision"]) for a in result["artifacts"]} >= {
        ("tflite", "float32"),
        ("saved-model", "float32"),
    }
    report = (out / "report.html").read_text()
    assert "broken.png" in report

    written = home.folder / "predictions.csv"
    said = home.run("predict", out, new, "--out", written)
    assert said.code == 0, said.err
    lines = written.read_text().splitlines()
    head = lines[0].split(",")
    assert {"file", "prediction", *(f"p_{name}" for name in CLASSES)} <= set(head)
    assert len(lines) == 1 + 60
    at, said_class = head.index("file"), head.index("prediction")
    right = sum(line.split(",")[said_class] in Path(line.split(",")[at]).name for line in lines[1:])
    assert right / 60 > 0.6
