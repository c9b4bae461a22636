"""Raw rows of series: float32 [steps, channels] with NaN for what is missing or beyond the end. See the package for the
functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import raw
from automl.spec import InvalidData

if TYPE_CHECKING:
    import numpy as np

    from automl.data.series import Series


def read(data: Path, preprocess: Mapping[str, Any]) -> raw.Rows:
    """A `.ts` file with or without labels, or a table of the form that was learnt from. Raises `InvalidData` for faults
    in it, and for series of another kind than the model's."""
    from automl.data import readers, series_tables, source
    from automl.data.series import Series
    from automl.data.table import Table

    found = readers.read(source.Source(data))
    if isinstance(found, Table):
        if preprocess["source"]["form"] == "ts":
            raise InvalidData.at(data.name, "is a table, but the model learnt from a .ts file and takes such",
                                 reason="WRONG_MODALITY")
        found = series_tables.unlabelled(found, preprocess["source"])
    if not isinstance(found, Series):
        raise InvalidData.at(data.name, "holds no series, but the model takes series", reason="WRONG_MODALITY")
    _check(found, preprocess, data.name)
    names = found.names
    return raw.Rows(len(found), {"series": list(found.values)}, names, "series" if names else "")


def _check(found: Series, preprocess: Mapping[str, Any], filename: str) -> None:
    wanted = len(preprocess["channels"])
    if len(found.channels) != wanted:
        message = f"its series have {len(found.channels)} channels, the model takes {wanted}"
        raise InvalidData.at(filename, message, reason="WRONG_SHAPE")


def prepared(preprocess: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Series are encoded when data are prepared."""
    import numpy as np

    return {name: np.asarray(value) for name, value in inputs.items()}


def encode(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    from automl.data.series_encoder import SeriesEncoder

    return dict(SeriesEncoder(preprocess).encode(columns["series"]))


def typed(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """One array for all, NaN behind the ends."""
    import numpy as np

    from automl.data.series_preparation import padded

    values = [np.asarray(one, np.float32) for one in columns["series"]]
    return {"series": padded(values, max(1, *(len(one) for one in values)))}


def has_raw(preprocess: Mapping[str, Any]) -> bool:
    return True


def samples(prepared: Any, count: int) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """`{"series": [[value or null of each channel] of each step]}`, each channel in steps of a hundredth to a thousandth of
    what it covers."""
    import numpy as np

    from automl.data.series import trimmed

    rows = []
    for one in prepared.raw("validation", limit=count)["series"]:
        values = trimmed(one).astype(np.float64)
        places = [_places(values[:, channel]) for channel in range(values.shape[1])]
        rows.append({"series": [
            [None if math.isnan(v) else round(v, n) for v, n in zip(step, places, strict=True)] for step in values.tolist()
        ]})
    given = [np.array([[np.nan if v is None else v for v in step] for step in row["series"]], np.float32) for row in rows]
    return rows, encode(prepared.meta.preprocess, {"series": given})


def _places(values: np.ndarray) -> int:
    """Decimal places that leave three digits of what the values cover, or of a value that is alone."""
    import numpy as np

    known = values[np.isfinite(values)]
    covered = float(np.ptp(known)) or float(np.abs(known).max()) if known.size else 0.0
    return 2 - math.floor(math.log10(covered)) if covered else 0


def graph(preprocess: Mapping[str, Any], model: Any) -> Any:
    from automl.export import _series_graph

    return _series_graph.SeriesGraph(preprocess)


def columns_of(preprocess: Mapping[str, Any]) -> dict[str, str]:
    return {"series": "series"}


def card_inputs(preprocess: Mapping[str, Any], format: str) -> list[str]:
    steps, channels = int(preprocess["inputs"]["steps"]), len(preprocess["channels"])
    if format == "saved-model":
        return [
            f"Input `series` of the signature `serving_default`: float32 [batch, steps, {channels}], any number of steps, "
            "NaN for a missing value and behind the end of a series that is shorter than the longest.",
        ]
    mask = "; the last channel is 1 where a step is there, 0 where it only fills up" if preprocess["ragged"] else ""
    return [
        f"Input `series`: float32 [batch, {steps}, {preprocess['inputs']['channels']}], from raw series by "
        f"`preprocess.json`{mask}.",
    ]


def card_names(preprocess: Mapping[str, Any]) -> list[str]:
    return ["series"]


def card_preprocessing(preprocess: Mapping[str, Any], format: str) -> list[str]:
    names = ", ".join(f"`{raw.cell(str(name))}`" for name in preprocess["channels"][:12])
    more = ", …" if len(preprocess["channels"]) > 12 else ""
    length, steps = int(preprocess["length"]), int(preprocess["inputs"]["steps"])
    where = "inside the file" if format == "saved-model" else "the caller's (`automl predict` does it)"
    shrunk = f"all are resampled by {steps / length:.3g}, " if length > steps else ""
    return [
        f"Channels: {names}{more}. Encoding is {where}: missing values are interpolated, {shrunk}what is beyond {steps} "
        "steps is cut off, each channel is standardised as the training series were.",
    ]
