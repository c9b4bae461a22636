"""Trees as layers against trees walked by hand."""

import keras
import numpy as np
import pytest

from automl.layers import trees

RNG = np.random.default_rng(0)


def forest(layer, splits, nodes, offset=(0.0,)):
    """Sets the weights from (column, threshold) of each split, and nodes by levels: ("ask", split) or ("give", number)."""
    layer.column.assign(np.array([c for c, _ in splits]).astype(layer.column.dtype))
    layer.threshold.assign(np.array([t for _, t in splits]).astype("int16"))
    numbers = [number - layer.base if kind == "ask" else number for kind, number in nodes]
    layer.node.assign(np.array(numbers).astype(layer.node.dtype))
    layer.offset.assign(np.array(offset, "float32"))


def test_a_tree_by_hand():
    """x₁ > 0.5 ? (x₀ > −1 ? 3 : 2) : 1, and x₁ > 0.5 ? 10 : 0, in one sum."""
    layer = trees.DecisionTrees(2, 1, trees=2, nodes=8, splits=2, depth=2, unit=0.5)
    layer.build((None, 2))
    forest(
        layer, [(1, 2048), (0, -4096)],
        [("ask", 0), ("ask", 0), ("give", 2), ("ask", 1), ("give", 0), ("give", 20), ("give", 4), ("give", 6)],
        offset=[100.0],
    )
    x = np.array([[0, 0.5], [0, 0.6], [-1, 0.6], [5, 0.6], [-0.5, -9], [-1, 0.5001]], np.float32)
    # Exactly at a threshold is left; beyond ±8 counts as ±8; what is above by less than a step is above.
    np.testing.assert_array_equal(np.asarray(layer(x))[:, 0], [101, 113, 112, 113, 101, 112])


def grown(rng, columns, depth):
    """A random tree: (column, threshold, left, right) or a leaf's number."""
    if depth == 0 or rng.random() < 0.2:
        return int(rng.choice([-1, 1]) * rng.integers(trees.largest_leaf(trees.MOST_SPLITS) + 1))
    children = (grown(rng, columns, depth - 1) for _ in range(2))
    return (int(rng.integers(columns)), int(rng.integers(-8, 8)) * 2048, *children)


def walked(tree, row):
    while not isinstance(tree, int):
        tree = tree[3] if row[tree[0]] * 4096 > tree[1] else tree[2]
    return tree


@pytest.mark.parametrize("most", [trees.MOST_SPLITS, 3])
def test_random_forests_are_walked_as_by_hand(most, monkeypatch):
    """Trees of all shapes, lone leaves among them, in the numbering of nodes by levels; with 16 and with 32 bits a node."""
    monkeypatch.setattr(trees, "MOST_SPLITS", most)
    rng = np.random.default_rng(1)
    grew = [grown(rng, 5, 6) for _ in range(12)]
    level, order = list(grew), []
    while level:
        order += level
        level = [child for tree in level if not isinstance(tree, int) for child in tree[2:]]
    splits = sorted({tree[:2] for tree in order if not isinstance(tree, int)})
    layer = trees.DecisionTrees(5, 3, trees=12, nodes=len(order), splits=len(splits), depth=6, unit=1.0)
    layer.build((None, 5))
    assert layer.node.dtype == ("int16" if most > 3 else "int32")
    nodes = [("give", t) if isinstance(t, int) else ("ask", splits.index(t[:2])) for t in order]
    forest(layer, splits, nodes, offset=[0.0] * 3)
    x = rng.normal(size=(50, 5)).astype(np.float32) * 3
    expected = [[sum(walked(tree, row) for tree in grew[output::3]) for output in range(3)] for row in x]
    np.testing.assert_array_equal(np.asarray(layer(x)), expected)


def test_a_new_layer_gives_zero_and_trees_take_turns_with_the_outputs():
    layer = trees.DecisionTrees(3, 2, trees=4, nodes=4, splits=1, depth=1)
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(layer(x)), np.zeros((5, 2)))
    forest(layer, [(0, 0)], [("give", value) for value in (1, 20, 300, 4000)], offset=[0.0, 0.0])
    np.testing.assert_allclose(np.asarray(layer(x)), np.tile([301 * 2.0**-14, 4020 * 2.0**-14], (5, 1)))


def test_one_sum_is_the_log_odds_of_the_second_class():
    layer = trees.DecisionTrees(1, 2, trees=1, nodes=1, splits=1, depth=0, unit=1.0, one_sum=True)
    layer.build((None, 1))
    forest(layer, [(0, 0)], [("give", 2)], offset=[0.0, 0.0])
    p = np.asarray(keras.ops.softmax(layer(np.zeros((1, 1), np.float32))))
    np.testing.assert_allclose(p[0, 1], 1 / (1 + np.exp(-2)), rtol=1e-6)


STUMP = [("ask", 0), ("give", 5), ("give", 7)]


def test_columns_in_parts_are_set_side_by_side():
    layer = trees.DecisionTrees(3, 1, trees=1, nodes=3, splits=1, depth=1, unit=1.0)
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    layer([x[:, :2], x[:, 2:]])
    forest(layer, [(2, 0)], STUMP)
    np.testing.assert_array_equal(np.asarray(layer([x[:, :2], x[:, 2:]]))[:, 0], np.where(x[:, 2] > 0, 7, 5))
    assert layer.compute_output_shape([(None, 2), (None, 1)]) == (None, 1)


def test_more_than_256_columns():
    layer = trees.DecisionTrees(300, 1, trees=1, nodes=3, splits=1, depth=1, unit=1.0)
    layer.build((None, 300))
    forest(layer, [(299, 0)], STUMP)
    x = np.zeros((2, 300), np.float32)
    x[1, 299] = 1
    np.testing.assert_array_equal(np.asarray(layer(x))[:, 0], [5, 7])


def test_levels_are_looked_up_by_column():
    layer = trees.CategoryLevels([2, 3], width=2)
    layer.build((None, 2))
    layer.levels.assign(np.arange(10).reshape(5, 2).astype("int16") * 2048)
    given = np.asarray(layer(np.array([[1, 0], [0, 2]], np.int32)))
    np.testing.assert_array_equal(given, [[1, 1.5, 2, 2.5], [0, 0.5, 4, 4.5]])


@pytest.mark.parametrize(("given", "words"), [
    ({"trees": 3}, "a multiple of 2"), ({"nodes": 1}, "nodes ≥ trees"), ({"columns": 0}, "columns"),
    ({"splits": 0}, "splits"),
    ({"outputs": 3, "trees": 3, "nodes": 3, "one_sum": True}, "two outputs"),
])
def test_impossible_sizes_are_refused(given, words):
    sizes = {"columns": 2, "outputs": 2, "trees": 4, "nodes": 12, "splits": 3, "depth": 1} | given
    with pytest.raises(ValueError, match=words):
        trees.DecisionTrees(**sizes)
