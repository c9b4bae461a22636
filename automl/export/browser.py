"""Browsers: a folder with a page that runs the model where it is opened, and sends nothing anywhere.

What it changes: the model is given with a page and a runtime. Why it may help: nothing has to be installed, and what
users enter stays on their machines. When it hurts: the runtime is several megabytes to load, and computes slower than a
native one. How: the model as for `onnx`, preprocessing in JavaScript from the same `preprocess.json`, and samples by
which the page checks itself.

The file is a zip archive of the folder. Any web server gives it out (`python3 -m http.server` in the folder is one; browsers
load no models from files that are opened directly). In it:

- `index.html`, `page.js`, `page.css`: a field for each raw column, the picture, the text or the series, and what the model
  says of it. The page first predicts the rows of `samples.json` and shows how far it is from the float model.
- `model.js`: `open()` gives `predict(rows)` for pages of one's own; `encode.js`: `preprocess.json` in JavaScript. Neither
  needs the other parts, or any package.
- `model.onnx`: the model as in the format `onnx`, float32 or int8.
- `runtime/`: onnxruntime-web, its WebAssembly for processors with SIMD, one thread; MIT licence, which lies beside it.
- the companions.

onnxruntime-web comes from the npm registry and isn't part of this distribution: the server needs it once, and says how where
it is lacking. It takes about 14 MB of the folder (4 MB of the archive), whatever the model; a limit of size counts
`model.onnx` alone. The page shows pictures as the browser decodes them, which of lossy formats may differ by a
shade from what training read; all else is encoded to the same numbers.

The file is verified by onnxruntime on this machine; the browser's runtime is built from the same sources for another
processor, and the page's own check tells how far they agree.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import zipfile
from pathlib import Path
from typing import Any

from automl import catalog
from automl.export import candidate as candidates
from automl.export import companions, inference, onnx_file

PAGE = Path(__file__).with_name("page")
MODEL = "model.onnx"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
"""On the npm registry; another version is taken where it is installed and has the files."""
FOLDER_VARIABLE = "AUTOML_ONNXRUNTIME_WEB"
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""Of the package's `dist`: the library without GPU backends, what loads its WebAssembly, and that."""
LICENCE = """MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
"""Of onnxruntime and onnxruntime-web; the package names it and doesn't hold its text."""


def runtime_folder() -> Path:
    """Where onnxruntime-web is, or has to be."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(sys.prefix) / "share" / "automl" / "node_modules" / PACKAGE


def runtime_missing() -> str:
    """What to do where onnxruntime-web is lacking; "" where it is there."""
    folder = runtime_folder()
    lacking = [name for name in RUNTIME if not (folder / "dist" / name).is_file()]
    if not lacking and (folder / "package.json").is_file():
        return ""
    if os.environ.get(FOLDER_VARIABLE):
        what = ", ".join(f"dist/{name}" for name in lacking) or "package.json"
        return f"browser packs {PACKAGE}, and {FOLDER_VARIABLE}={folder} names a folder without {what}"
    prefix = shlex.quote(str(folder.parents[1]))
    return (
        f"browser packs {PACKAGE}, which the server lacks: npm install --ignore-scripts --prefix {prefix} "
        f"{PACKAGE}@{VERSION} there, or name the package's folder in {FOLDER_VARIABLE}"
    )


FORMAT = catalog.format(
    id="browser", precisions=("float32", "int8"), suffix=".browser.zip", runtime="onnxruntime", raw_input=False,
    exporter=f"{__name__}:write", needs=("tf2onnx", "onnx", "onnxruntime"), extra="onnx", missing=runtime_missing,
    model="onnx", doc=__doc__ or "",
    technique="edge-browser", reference="WebAssembly Core Specification, W3C (2019)",
)


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 2.0 + onnx_file.estimate_s(parameters)


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate and packs the folder; runs in a fresh child process. See `deliver` for the request."""
    source, precision = candidates.Candidate(Path(request["candidate"])), str(request["precision"])
    rows = None
    if precision == "int8":
        rows = inference.representative(source, Path(request["prepared"]), int(request["seed"]))
    content = onnx_file.convert(source.model, precision, rows)
    folder, runtime = Path(request["companions"]), runtime_folder()
    members = {
        MODEL: content, "runtime/LICENSE.txt": LICENCE.encode(),
        **{file.name: file.read_bytes() for file in PAGE.iterdir() if file.is_file()},
        **{f"runtime/{name}": (runtime / "dist" / name).read_bytes() for name in RUNTIME},
        **companions.collected(folder),
    }
    version = json.loads((runtime / "package.json").read_text(encoding="utf-8"))["version"]
    members["runtime/VERSION.txt"] = f"{PACKAGE} {version}\n".encode()
    with zipfile.ZipFile(request["out"], "w") as archive:
        for name in sorted(members):
            archive.writestr(companions.entry(name), members[name], compresslevel=6)
    return {**onnx_file.account(source, content, "browser", precision), "limited_bytes": len(content)}


def load(path: Path, threads: int) -> onnx_file.OnnxPredictor:
    """The model in onnxruntime on this machine. Raises `zipfile.BadZipFile`, `KeyError` or `ValueError` for a file that is
    no such archive."""
    with zipfile.ZipFile(path) as archive:
        return onnx_file.OnnxPredictor(archive.read(MODEL), threads)
