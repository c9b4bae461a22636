"""Tries every architecture in every format and precision, and writes what came of it.

    python docs/conversions.py [--only ARCHITECTURE] [--all] [--check]

Small data sets are made, each family's default recipe is built with untrained weights, converted and run
(`automl.export.convertible`). The answers go to `automl/export/conversions.json`, where jobs look them up, and to
`docs/reference/conversions.md`. What is known for the installed versions isn't tried again but with `--all`. Formats that
lack something here keep their answers. A family whose outputs agree with anything isn't written. With `--check` nothing is
tried: the files must hold every architecture, format and precision that is declared and no other, and the page must be the
table of the answers. Other versions than those installed are no fault: jobs then try by themselves.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from automl import catalog
from automl.catalog import space as spaces
from automl.data.prepare import prepare
from automl.data.source import Source
from automl.execution import children
from automl.export import convertible
from automl.spec import ColumnKind, DataSettings, FormatRequest, InvalidInput, JobSpec, SearchSettings

PAGE = Path(__file__).parent / "reference" / "conversions.md"
ROWS = 120
DIFFERENCES = {"float32": convertible.FLOAT_DIFFERENCE, "float16": 0.005, "dynamic": 0.05, "int16x8": 0.05, "int8": 0.1}
"""The largest difference of a probability that a precision may bring unmarked. Settled outputs deviate by about 0.25 over
rows. Of all families float16 takes at most 0.003 and dynamic 0.04, so more would be a fault. Integer activations take less
than 0.04 (16 bits) and 0.085 (8 bits) of most; depthwise convolutions, whose channels' ranges differ most, lose more, and
that is to be seen. Refused is none: trained models lose less or more, and jobs measure it."""
WAVERING = (
    "TFLite's converter wavers at `series/recurrent` for microcontrollers: in about half of its runs on the same network\n"
    "it leaves SPLIT float. It is asked up to six times."
)
"""Not to be told from the answers: 7 of 14 conversions in two processes."""
TASKS = {
    "table": "tabular-classification", "image": "image-classification", "text": "text-classification",
    "series": "timeseries-classification",
}


def data_set(modality: str, folder: Path) -> Any:
    """A small prepared data set."""
    rng = np.random.default_rng(0)
    labels = [("no", "yes", "maybe")[i % 3] for i in range(ROWS)]
    settings = DataSettings(target="label", test_fraction=0.2)
    if modality == "image":
        pictures = rng.integers(0, 256, (ROWS, 16, 16, 3)).astype(np.uint8)
        np.savez(folder / "data.npz", x=pictures, y=np.arange(ROWS) % 3)
        source, settings = Source(folder / "data.npz"), DataSettings(test_fraction=0.2)
    elif modality == "series":
        lines = ["@univariate false", "@classLabel true no yes maybe", "@data"]
        for label in labels:
            channels = [",".join(f"{v:.3f}" for v in rng.normal(size=24)) for _ in range(2)]
            lines.append(":".join([*channels, label]))
        (folder / "data.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")
        source, settings = Source(folder / "data.ts"), DataSettings(target="label", test_fraction=0.2)
    else:
        words = [" ".join(rng.choice(["good", "bad", "fast", "slow", "call", "now", "win", "home"], 6)) for _ in range(ROWS)]
        columns: dict[str, list[Any]] = {"text": words, "label": labels}
        if modality == "table":
            # What is fitted rather than drawn needs something to learn.
            told = rng.normal(size=ROWS) + np.arange(ROWS) % 3
            columns = {
                "a": [f"{v:.4f}" for v in told], "b": [f"{v:.4f}" for v in rng.normal(size=ROWS)],
                "c": [f"{v:.4f}" for v in rng.normal(size=ROWS)], "d": [f"{v:.4f}" for v in rng.normal(size=ROWS)],
                "city": rng.choice(["Bonn", "Ulm", "Trier"], ROWS).tolist(), "label": labels,
            }
        with (folder / "data.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values()))
        source = Source(folder / "data.csv")
        if modality == "text":
            settings = DataSettings(target="label", test_fraction=0.2, kinds={"text": ColumnKind.TEXT})
    spec = JobSpec(dataset="d", data=settings, metric="accuracy")
    return prepare(spec, TASKS[modality], source, None, folder / "prepared")


def wanted() -> list[FormatRequest]:
    return [
        FormatRequest.from_dict({"format": entry.id, "precision": precision})
        for entry in catalog.formats for precision in entry.precisions
    ]


def pairs() -> list[tuple[str, str]]:
    """(modality, architecture) of all that is declared and has data here."""
    return [
        (modality, family.id) for modality in TASKS for family in catalog.architectures
        if modality in {str(m) for m in family.modalities}
    ]


def answers(only: str | None, before: dict[str, Any]) -> dict[str, Any]:
    """By "modality/architecture" and "format:precision"."""
    found = dict(before)
    for modality in TASKS:
        untried = {
            family: [
                one for one in wanted()
                if f"{one.format}:{one.precision}" not in before.get(f"{modality}/{family}", {})
                and not catalog.formats[one.format].lacking
            ]
            for m, family in pairs() if m == modality and only in (None, family)
        }
        families = [family for family, left in untried.items() if left]
        if not families:
            continue
        with tempfile.TemporaryDirectory(prefix="automl-conversions-") as folder:
            prepared = data_set(modality, Path(folder))
            for family in families:
                settings = SearchSettings(force=(family,))
                try:
                    space = spaces.derive(TASKS[modality], prepared.meta.profile, settings, frozenset())
                except InvalidInput as error:
                    # It doesn't apply to these data, which says nothing of its formats.
                    print(f"{modality}/{family}: not tried: {error}", flush=True)
                    continue
                recipe = space.recipe(space.complete({"architecture": family}), 0)
                tried = convertible.tried(recipe, prepared, untried[family], run_in_child=children.run_in_child)
                if not tried:
                    print(f"{modality}/{family}: the network could not be built", flush=True)
                    continue
                answered = {f"{one.format}:{one.precision}": tried[str(one)] for one in untried[family] if str(one) in tried}
                if why := next((answer["vacuous"] for answer in answered.values() if answer.get("vacuous")), ""):
                    print(f"{modality}/{family}: not kept, no difference would say anything: {why}", flush=True)
                    continue
                found[f"{modality}/{family}"] = before.get(f"{modality}/{family}", {}) | {
                    name: _rounded(answer) for name, answer in answered.items()
                }
                bad = {name: answer["reason"] for name, answer in answered.items() if answer["reason"]}
                print(f"{modality}/{family}: {len(answered) - len(bad)} of {len(answered)} work; {bad or 'all'}", flush=True)
                write(found)
    return found


def _untriable(held: dict[str, Any]) -> dict[str, Any]:
    """The answers of formats that lack something here, which would else be lost; not their differences, which were those of
    another network than the other formats'."""
    return {
        name: {key: value for key, value in answer.items() if key != "difference"}
        for name, answer in held.items() if catalog.formats[name.partition(":")[0]].lacking
    }


def _rounded(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run."""
    kept = {"reason": answer["reason"]}
    if "size_bytes" in answer:
        kept |= {"size_bytes": answer["size_bytes"], "difference": float(f"{answer['difference']:.2g}")}
    return kept


def page(stored: dict[str, Any]) -> str:
    columns = [f"{one.format}:{one.precision}" for one in wanted()]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(stored["versions"].items()))
    lines = [
        "# What converts to what", "",
        "Each architecture with its default recipe and untrained weights on small data, in every format and precision:",
        "written, run in its own runtime, compared with the network. Where it works the size of the file is shown, and",
        "the largest difference of a probability from the network's on a few rows; a number where it is refused, with the",
        "reason below. Made by `python docs/conversions.py`; a job looks these answers up when it runs with the same",
        "versions, and tries by itself with others.", "",
        "Networks whose untrained outputs hardly vary from row to row, or are nothing but 0 and 1, get the scales of",
        "trained ones: batch normalisations the data's statistics, the last layer outputs of deviation 1 over rows. What a",
        "library fits is fitted. A difference **in bold** is more than "
        + ", ".join(f"{bound:g} ({precision})" for precision, bound in DIFFERENCES.items()) + ":",
        "the precision loses much of such a network. What it loses of a trained one, a job measures on held-out rows, and",
        "delivers nothing that loses more than is allowed. A browser's file without a difference holds the ONNX model of",
        "its precision, and differs as that does.", "",
        WAVERING, "",
        f"Versions: {versions}.", "",
        "| data | architecture | " + " | ".join(columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    reasons: dict[str, int] = {}
    for key, found in sorted(stored["answers"].items()):
        modality, _, family = key.partition("/")
        cells = []
        for column in columns:
            answer = found.get(column)
            if answer is None:
                cells.append("?")
            elif answer["reason"]:
                cells.append(f"[{reasons.setdefault(answer['reason'], len(reasons) + 1)}]")
            else:
                cells.append(f"{answer['size_bytes'] / 1000:.0f} KB{_difference(answer.get('difference'), column)}")
        lines.append(f"| {modality} | {family} | " + " | ".join(cells) + " |")
    lines += ["", *(f"{number}. {' '.join(reason.split())}" for reason, number in reasons.items()), ""]
    return "\n".join(lines)


def _difference(found: float | None, column: str) -> str:
    if found is None:
        return ""
    text = f"{found:.2g}".replace("e-0", "e-")
    return f", **{text}**" if found > DIFFERENCES[column.partition(":")[2]] else f", {text}"


def write(found: dict[str, Any]) -> None:
    stored = {"versions": convertible.versions(), "answers": dict(sorted(found.items()))}
    convertible.KNOWN.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(stored), encoding="utf-8")


def faults() -> list[str]:
    """What the stored answers lack."""
    stored = json.loads(convertible.KNOWN.read_text(encoding="utf-8"))
    found = [
        f"{modality}/{family} in {one.format}:{one.precision} was never tried"
        for modality, family in pairs() for one in wanted()
        if f"{one.format}:{one.precision}" not in stored["answers"].get(f"{modality}/{family}", {})
    ]
    asked = {f"{one.format}:{one.precision}" for one in wanted()}
    declared = {f"{modality}/{family}" for modality, family in pairs()}
    found += [
        f"{key} in {name} is answered, and no longer declared"
        for key, held in stored["answers"].items() for name in held if key not in declared or name not in asked
    ]
    if PAGE.read_text(encoding="utf-8") != page(stored):
        found.append(f"{PAGE.name} isn't the table of {convertible.KNOWN.name}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="an architecture's id: only this one is tried")
    parser.add_argument("--all", action="store_true", help="try again what is known")
    parser.add_argument("--check", action="store_true", help="look only whether all has been tried")
    given = parser.parse_args()
    if given.check:
        for fault in (found := faults()):
            print(fault, file=sys.stderr)
        return 1 if found else 0
    before: dict[str, Any] = {}
    if convertible.KNOWN.is_file():
        stored = json.loads(convertible.KNOWN.read_text(encoding="utf-8"))
        before = stored["answers"] if stored["versions"] == convertible.versions() else {}
    if given.all:
        again = {key for key in before if given.only in (None, key.partition("/")[2])}
        before = {key: _untriable(held) if key in again else held for key, held in before.items()}
    write(answers(given.only, before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
