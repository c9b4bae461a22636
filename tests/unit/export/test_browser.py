"""The format for browsers: `encode.js` by the golden files, what is in the folder, and the page in headless Chromium."""

from __future__ import annotations

import functools
import http.server
import io
import json
import pathlib
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from automl.execution import environment
from automl.export import browser, candidate, companions, verify
from automl_client import pictures as client_pictures
from tests.unit.export import planted
from tests.unit.export.test_formats import write

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "preprocess"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node to run JavaScript with")
needs_runtime = pytest.mark.skipif(bool(browser.runtime_missing()), reason="onnxruntime-web isn't installed for the server")


def encoded(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `encode.js` makes of {"preprocess", "rows"}: {"name": {"type", "dims", "data"}}, null for NaN."""
    script = (
        f"import {{ encoderOf }} from {json.dumps((browser.PAGE / 'encode.js').as_uri())};"
        "const chunks = []; for await (const chunk of process.stdin) chunks.push(chunk);"
        "const made = JSON.parse(Buffer.concat(chunks)).map(({preprocess, rows}) => {"
        "  for (const {image} of rows) if (image) image.data = Uint8Array.from(image.data);"
        "  const inputs = Object.entries(encoderOf(preprocess)(rows));"
        "  return Object.fromEntries(inputs.map(([name, one]) => [name, {...one, data: [...one.data]}]));"
        "}); console.log(JSON.stringify(made));"
    )
    command = [str(NODE), "--input-type=module", "-e", script]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def array(made: dict[str, Any]) -> np.ndarray:
    values = [np.nan if value is None else value for value in made["data"]]
    return np.array(values, made["type"]).reshape(made["dims"])


def golden(pattern: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(GOLDEN.glob(pattern))]


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@needs_node
def test_tables_are_encoded_as_the_golden_files_say() -> None:
    cases = golden("*.json")
    assert len(cases) >= 8
    for case, made in zip(cases, encoded([{**case, "rows": rows_of(case["raw"])} for case in cases]), strict=True):
        assert made.keys() == case["expected"].keys(), case["about"]
        for name, rows in case["expected"].items():
            expected = np.array([[np.nan if v is None else v for v in row] for row in rows])
            np.testing.assert_allclose(array(made[name]), expected, rtol=2e-6, atol=2e-6, err_msg=case["about"])


@needs_node
def test_texts_are_encoded_as_the_golden_files_say() -> None:
    cases = golden("texts/*.json")
    assert len(cases) >= 4
    for case, made in zip(cases, encoded([{**case, "rows": rows_of(case["raw"])} for case in cases]), strict=True):
        assert {name: array(value).tolist() for name, value in made.items()} == case["expected"], case["about"]


@needs_node
def test_series_are_encoded_as_the_golden_files_say() -> None:
    cases = golden("series/*.json")
    assert len(cases) >= 6
    given = [{**case, "rows": [{"series": one} for one in case["raw"]]} for case in cases]
    for case, made in zip(cases, encoded(given), strict=True):
        np.testing.assert_allclose(array(made["series"]), np.array(case["expected"]), atol=2e-6, err_msg=case["about"])


@needs_node
@pytest.mark.parametrize(("size", "channels"), [((7, 5), 3), ((31, 40), 3), ((9, 40), 1), ((12, 12), 1)])
def test_pictures_are_resized_and_greyed_as_pillow_does_it(size: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    opaque = np.concatenate([colours, np.full((*size, 1), 255, np.uint8)], axis=2)
    preprocess = {"version": 1, "modality": "image", "height": 12, "width": 12, "channels": channels}
    rows = [{"image": {"shape": list(one.shape), "data": one.ravel().tolist()}} for one in (colours, opaque)]
    [made] = encoded([{"preprocess": preprocess, "rows": rows}])
    expected = client_pictures.fit_array(colours[None], (12, 12, channels))[0]
    np.testing.assert_array_equal(array(made["image"]), np.stack([expected, expected]))


@needs_node
def test_transparent_pictures_lie_on_white() -> None:
    """By hand: black at half opacity is grey, fully transparent is white."""
    rgba = np.array([[[0, 0, 0, 128], [9, 9, 9, 0]]], np.uint8)
    preprocess = {"version": 1, "modality": "image", "height": 1, "width": 2, "channels": 1}
    rows = [{"image": {"shape": [1, 2, 4], "data": rgba.ravel().tolist()}}]
    [made] = encoded([{"preprocess": preprocess, "rows": rows}])
    assert array(made["image"]).ravel().tolist() == [127, 255]


def test_the_folder_that_is_named_is_known_to_the_processes_that_write_files() -> None:
    assert environment.allowed({browser.FOLDER_VARIABLE: "/elsewhere"}) == {browser.FOLDER_VARIABLE: "/elsewhere"}


def test_what_is_lacking_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.delenv(browser.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "my venv"))
    lacking = browser.runtime_missing()
    assert f"npm install --ignore-scripts --prefix '{tmp_path / 'my venv'}/share/automl' onnxruntime-web@" in lacking
    monkeypatch.setenv(browser.FOLDER_VARIABLE, str(tmp_path))
    assert f"{browser.FOLDER_VARIABLE}={tmp_path} names a folder without dist/ort.wasm.min.mjs" in browser.runtime_missing()
    assert browser.FORMAT.lacking == browser.runtime_missing()
    package = tmp_path / "package"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "9.9.9"}')
    for name in browser.RUNTIME:
        (package / "dist" / name).write_bytes(b"")
    monkeypatch.setenv(browser.FOLDER_VARIABLE, str(package))
    assert browser.runtime_missing() == ""


@needs_runtime
def test_the_folder_is_whole_and_a_limit_counts_the_model(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    artifact, said = write(pictures, tmp_path, "browser", "int8")
    with zipfile.ZipFile(artifact) as archive:
        names = set(archive.namelist())
        assert said["limited_bytes"] == archive.getinfo("model.onnx").file_size < 50_000
        page = archive.read("index.html").decode() + archive.read("page.js").decode() + archive.read("model.js").decode()
        assert "Microsoft" in archive.read("runtime/LICENSE.txt").decode()
        assert archive.read("runtime/VERSION.txt").startswith(b"onnxruntime-web 1.")
    assert {*companions.NAMES, "index.html", "page.js", "page.css", "model.js", "encode.js", "model.onnx"} <= names
    assert {f"runtime/{name}" for name in browser.RUNTIME} <= names
    assert "http://" not in page
    assert "https://" not in page


# --- in Chromium ----------------------------------------------------------------------------------------------------------

DRIVER = """<!DOCTYPE html><meta charset="utf-8"><iframe id="page" src="index.html" width="900" height="900"></iframe>
<script type="module">
// Fills the page's fields as a person would, row by row, and posts what it shows.
const until = async (test) => { while (!test()) await new Promise((done) => setTimeout(done, 20)); };
const frame = document.getElementById("page");
const post = (answer) => fetch("/answers", { method: "POST", body: JSON.stringify(answer) });
try {
  await until(() => frame.contentDocument?.body?.dataset.ready);
  const page = frame.contentDocument;
  if (page.body.dataset.ready !== "yes") throw new Error(page.getElementById("status").textContent);
  const rows = await (await fetch("rows.json")).json();
  const form = page.getElementById("form");
  const answers = [];
  for (const row of rows) {
    for (const [place, value] of row.entries()) {
      const field = form.elements[`field-${place}`];
      if (field.type === "file") {
        const held = new frame.contentWindow.DataTransfer();
        const bytes = await (await fetch(value)).arrayBuffer();
        held.items.add(new frame.contentWindow.File([bytes], value, { type: "image/png" }));
        field.files = held.files;
      } else field.value = value;
    }
    const before = page.body.dataset.answers;
    form.requestSubmit();
    await until(() => page.body.dataset.answers !== before);
    const shown = [...page.querySelectorAll("#answer tr")];
    answers.push(Object.fromEntries(shown.map((tr) => [tr.querySelector("th").textContent, Number(tr.dataset.value)])));
  }
  await post({ answers, status: page.getElementById("status").textContent,
               difference: Number(page.getElementById("check").dataset.difference) });
} catch (error) { await post({ error: String(error) }); }
</script>
"""


class Served:
    """A folder on a web server of this machine, which keeps what is posted to it."""

    def __init__(self, folder: pathlib.Path):
        self.posted = threading.Event()
        self.answer: dict[str, Any] = {}
        served = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_POST(self) -> None:
                served.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                served.posted.set()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the test tells what went wrong."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def unpacked(tmp_path: pathlib.Path) -> Iterator[Any]:
    """A function that unpacks a model's page, runs rows through it in Chromium and gives what it posted."""
    started: list[Any] = []

    def run(model: planted.Planted, precision: str, rows: list[list[str]]) -> dict[str, Any]:
        artifact, _ = write(model, tmp_path, "browser", precision)
        folder = tmp_path / "page"
        with zipfile.ZipFile(artifact) as archive:
            archive.extractall(folder)
        (folder / "samples.json").write_text(json.dumps(_samples(model)))
        for name in tmp_path.glob("*.png"):
            shutil.copy(name, folder)
        (folder / "driver.html").write_text(DRIVER)
        (folder / "rows.json").write_text(json.dumps(rows))
        served = Served(folder)
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        log = (tmp_path / "chromium.log").open("wb")
        process = subprocess.Popen([str(CHROMIUM), *flags, f"{served.address}/driver.html"], stdout=log, stderr=log)
        started.append((process, served, log))
        assert served.posted.wait(120), (tmp_path / "chromium.log").read_text()[-2000:]
        assert "error" not in served.answer, served.answer
        return served.answer

    yield run
    for process, served, log in started:
        process.kill()
        process.wait()
        served.server.shutdown()
        served.server.server_close()
        log.close()


def _samples(model: planted.Planted) -> dict[str, Any]:
    return verify._samples(candidate.Candidate(model.candidate), model.data)


in_chromium = [
    pytest.mark.slow, needs_runtime, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open the page in"),
]


class TestPage:
    pytestmark = in_chromium

    def check(self, model: planted.Planted, answer: dict[str, Any], rows: int, allowed: float) -> None:
        expected = verify.model_outputs(candidate.Candidate(model.candidate), model.data.inputs("test"))[:rows]
        classes = candidate.Candidate(model.candidate).classes
        names = classes or [candidate.Candidate(model.candidate).preprocess["target"]]
        assert len(answer["answers"]) == rows
        found = np.array([[one[name] for name in names] for one in answer["answers"]])
        spread = 1.0 if classes else float(np.ptp(expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed * spread)
        assert answer["difference"] <= allowed * spread
        assert answer["status"].startswith("predicted in")

    @pytest.mark.parametrize("name", ["table", "numbers", "texts"])
    def test_columns(self, request: pytest.FixtureRequest, unpacked: Any, name: str) -> None:
        model = request.getfixturevalue(name)
        columns = candidate.Candidate(model.candidate).preprocess["columns"]
        raw = model.data.raw("test", limit=12)
        texts = {one["name"]: ["" if v != v else str(v) for v in raw[one["name"]]] for one in columns}
        # A select offers what is known alone; what was never seen can't be chosen there.
        known = [i for i in range(12) if all(
            one["kind"] != "categorical" or texts[one["name"]][i] in ("", *one["vocabulary"]) for one in columns
        )]
        answer = unpacked(model, "float32", [[texts[one["name"]][i] for one in columns] for i in known])
        expected = verify.model_outputs(candidate.Candidate(model.candidate), model.data.inputs("test"))[known]
        names = candidate.Candidate(model.candidate).classes or ("y",)
        found = np.array([[one[label] for label in names] for one in answer["answers"]])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, float(np.ptp(expected))))
        assert answer["difference"] < 1e-5 * max(1.0, float(np.ptp(expected)))

    def test_series(self, series: planted.Planted, unpacked: Any) -> None:
        values = series.data.raw("test")["series"][:8]
        lines = ["\n".join(",".join("?" if np.isnan(v) else str(v) for v in step) for step in one) for one in values]
        answer = unpacked(series, "float32", [[one] for one in lines])
        self.check(series, answer, 8, 1e-5)

    @pytest.mark.parametrize(("precision", "allowed"), [("float32", 1e-5), ("int8", 0.05)])
    def test_pictures(
        self, pictures: planted.Planted, unpacked: Any, tmp_path: pathlib.Path, precision: str, allowed: float
    ) -> None:
        from PIL import Image

        for place, image in enumerate(np.asarray(pictures.data.inputs("test")["image"][:6])):
            held = io.BytesIO()
            Image.fromarray(image[..., 0]).save(held, "PNG")
            (tmp_path / f"{place}.png").write_bytes(held.getvalue())
        answer = unpacked(pictures, precision, [[f"{place}.png"] for place in range(6)])
        self.check(pictures, answer, 6, allowed)
