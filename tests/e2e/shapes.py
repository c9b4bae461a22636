"""Drawn shapes as users bring pictures: a zip of class folders, of mixed modes and sizes, two of them broken."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw

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


def draw_all(folder: Path) -> tuple[Path, Path]:
    """A zip to learn from, and a folder of pictures that aren't in it."""
    rng = random.Random(11)
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
