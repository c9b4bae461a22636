"""Transformers over the columns of tables: each column is a token (FT-Transformer).

A number becomes a token x_i w_i + b_i, or by cosines of learned frequencies of its column (`numeric_tokens` periodic); a
category a learned vector. A learned class token stands before them; after `depth` encoder blocks its state alone (or the
mean of all tokens, `summary`) goes to the head (Gorishniy et al., arXiv:2106.11959). Attention finds which columns belong
together row by row, which dense layers can't.

Several times slower than `mlp`, in the number of columns quadratically; the best of plain networks where interactions of
columns decide. With some hundred columns it is refused, with few rows `mlp` is steadier.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _attention, _tables
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Float, Int, architecture
from automl.catalog.columns import Columns, Encoding
from automl.spec import InvalidInput, Profile

MOST_COLUMNS = 200
"""Columns up to which the family is offered."""
PERIODIC = "periodic"
FRAME_BYTES, BLOCK_BYTES, CHANNEL_BYTES = 6_130, 8_715, 55
"""Of an int8 file beside a byte a weight: the frame with the head; each block, and each of its channels…"""
CATEGORIES_BYTES, NUMBERS_BYTES, PERIODIC_BYTES, SUMMARY_BYTES = 990, 850, 1_850, 750
"""… what makes tokens of categories, and of numbers, by cosines or not; and what a token for the summary takes."""


def _few_columns(profile: Profile) -> str | None:
    columns = profile.numeric + profile.categorical
    return None if columns <= MOST_COLUMNS else f"compares all pairs of at most {MOST_COLUMNS} columns; there are {columns}"


def size(
    profile: Profile, *, width: int, depth: int, expansion: int, numeric_tokens: str, frequencies: int, sigma: float,
    summary: str,
) -> int:
    """Trainable parameters."""
    numbers = _numbers(profile, numeric_tokens, frequencies, width)
    tokens = numbers.weights if numeric_tokens == PERIODIC else 2 * width * profile.numeric
    tokens += (sum(_tables.profile_cardinalities(profile)) + profile.categorical) * width
    tokens += width if summary == "token" else 0
    return tokens + _attention.blocks_size(width, depth=depth, expansion=expansion) + (width + 1) * profile.outputs


def overhead(
    profile: Profile, *, width: int, depth: int, numeric_tokens: str, frequencies: int, summary: str, **_: Any
) -> int:
    """Fitted to 13 int8 files of 35 to 335 KB; they are within 1 %."""
    found = FRAME_BYTES + depth * (BLOCK_BYTES + CHANNEL_BYTES * width)
    if profile.categorical:
        found += CATEGORIES_BYTES
    if profile.numeric and numeric_tokens == PERIODIC:
        numbers = _numbers(profile, numeric_tokens, frequencies, width)
        found += PERIODIC_BYTES + numbers.stored_bytes - numbers.weights
    elif profile.numeric:
        found += NUMBERS_BYTES
    return found - (SUMMARY_BYTES if summary == "mean" else 0)


def _numbers(profile: Profile, numeric_tokens: str, frequencies: int, width: int) -> Columns:
    encoding: Encoding = "periodic" if numeric_tokens == PERIODIC else "none"
    return Columns(profile.numeric, encoding, width, frequencies, (), ())


@architecture(
    id="ft-transformer",
    modalities=("table",),
    params={
        "width": Categorical((16, 32, 64, 96, 128, 192), 64),
        "depth": Int(1, 4, 2),
        "expansion": Categorical((1, 2, 4), 2),
        "numeric_tokens": Categorical(("linear", PERIODIC), PERIODIC),
        "frequencies": Categorical((8, 16, 32), 16),
        "sigma": Float(0.01, 2.0, 0.1, log=True),
        "summary": Categorical(("token", "mean"), "token"),
    },
    reference="arXiv:2106.11959; arXiv:2203.05556",
    cost=6.0,
    conversion=2.0,
    uses=("attention",),
    when=_few_columns,
    size=size,
    overhead=overhead,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, depth: int, expansion: int, numeric_tokens: str,
    frequencies: int, sigma: float, summary: str,
) -> Any:
    from automl.layers import attention, tables

    parts = []
    if "numeric" in inputs:
        x = inputs["numeric"]
        if numeric_tokens == PERIODIC:
            embedding = tables.PeriodicEmbedding(frequencies, width, sigma, seed=builder.seed(), name="periodic")
            x = builder.layers.Reshape((int(x.shape[1]), width), name="numeric_tokens")(embedding(x))
        else:
            x = tables.NumberTokens(width, seed=builder.seed(), name="numeric_tokens")(x)
        parts.append(x)
    if "categorical" in inputs:
        cardinalities = [int(n) for n in builder.preprocess["cardinalities"]]
        tokens = tables.CategoryTokens(cardinalities, width, seed=builder.seed(), name="categorical_tokens")
        parts.append(tokens(inputs["categorical"]))
    if not parts:
        raise InvalidInput.at("data", "no column is left to learn from", reason="NO_FEATURES")
    x = builder.layers.Concatenate(axis=1, name="columns")(parts) if len(parts) > 1 else parts[0]
    if summary == "token":
        x = attention.ClassToken(seed=builder.seed(), name="class_token")(x)
    x = _attention.encode(x, None, builder, depth=depth, expansion=expansion)
    if summary == "token":
        return attention.FirstToken(name="pool")(x)
    return builder.layers.GlobalAveragePooling1D(name="pool")(x)
