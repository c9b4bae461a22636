"""Trees as layers against trees walked by hand."""

import keras
import numpy as np
import pytest

from automl.layers import trees

RNG = np.random.default_rng(0)


def forest(layer, nodes, roots, offset=(0.0,)):
    """Sets the weights from (column, number, left) of each node."""
    column, number, left = (np.array(values) for values in zip(*nodes))
    layer.column.assign(column.astype(layer.column.dtype))
    layer.number.assign(number.astype("int16"))
    layer.left.assign(left.astype("int16"))
    layer.root.assign(np.array(roots, "int32"))
    layer.offset.assign(np.array(offset, "float32"))


def test_a_tree_by_hand():
    """x₁ > 0.5 ? (x₀ > −1 ? 3 : 2) : 1, and a stump, in one sum."""
    layer = trees.DecisionTrees(2, 1, trees=2, nodes=8, depth=2, unit=0.5)
    layer.build((None, 2))
    here = 2  # the column behind the last: a leaf
    forest(
        layer,
        [(1, 2048, 1), (here, 2, 1), (0, -4096, 3), (here, 4, 3), (here, 6, 4), (0, 0, 1), (here, 0, 1), (here, 20, 2)],
        roots=[0, 5], offset=[100.0],
    )
    x = np.array([[0, 0.5], [0, 0.6], [-1, 0.6], [5, 0.6], [-0.5, -9]], np.float32)
    # Exactly at a threshold is left; beyond ±8 counts as ±8.
    np.testing.assert_array_equal(np.asarray(layer(x))[:, 0], [101, 103, 102, 113, 101])


def test_a_new_layer_gives_zero_and_trees_take_turns_with_the_outputs():
    layer = trees.DecisionTrees(3, 2, trees=4, nodes=4, depth=1)
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(layer(x)), np.zeros((5, 2)))
    forest(layer, [(3, value, 0) for value in (1, 20, 300, 4000)], roots=range(4), offset=[0.0, 0.0])
    np.testing.assert_allclose(np.asarray(layer(x)), np.tile([301 * 2.0**-14, 4020 * 2.0**-14], (5, 1)))


def test_one_sum_is_the_log_odds_of_the_second_class():
    layer = trees.DecisionTrees(1, 2, trees=1, nodes=1, depth=0, unit=1.0, one_sum=True)
    layer.build((None, 1))
    forest(layer, [(1, 2, 0)], roots=[0], offset=[0.0, 0.0])
    p = np.asarray(keras.ops.softmax(layer(np.zeros((1, 1), np.float32))))
    np.testing.assert_allclose(p[0, 1], 1 / (1 + np.exp(-2)), rtol=1e-6)


def test_columns_in_parts_are_set_side_by_side():
    layer = trees.DecisionTrees(3, 1, trees=1, nodes=3, depth=1, unit=1.0)
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    layer([x[:, :2], x[:, 2:]])
    forest(layer, [(2, 0, 1), (3, 5, 1), (3, 7, 2)], roots=[0])
    np.testing.assert_array_equal(np.asarray(layer([x[:, :2], x[:, 2:]]))[:, 0], np.where(x[:, 2] > 0, 7, 5))
    assert layer.compute_output_shape([(None, 2), (None, 1)]) == (None, 1)


def test_more_than_255_columns():
    layer = trees.DecisionTrees(300, 1, trees=1, nodes=3, depth=1, unit=1.0)
    layer.build((None, 300))
    forest(layer, [(299, 0, 1), (300, 1, 1), (300, 2, 2)], roots=[0])
    x = np.zeros((2, 300), np.float32)
    x[1, 299] = 1
    np.testing.assert_array_equal(np.asarray(layer(x))[:, 0], [1, 2])


def test_levels_are_looked_up_by_column():
    layer = trees.CategoryLevels([2, 3], width=2)
    layer.build((None, 2))
    layer.levels.assign(np.arange(10).reshape(5, 2).astype("int16") * 2048)
    given = np.asarray(layer(np.array([[1, 0], [0, 2]], np.int32)))
    np.testing.assert_array_equal(given, [[1, 1.5, 2, 2.5], [0, 0.5, 4, 4.5]])


@pytest.mark.parametrize(("given", "words"), [
    ({"trees": 3}, "a multiple of 2"), ({"nodes": 1}, "nodes ≥ trees"), ({"columns": 0}, "columns"),
    ({"outputs": 3, "trees": 3, "nodes": 3, "one_sum": True}, "two outputs"),
])
def test_impossible_sizes_are_refused(given, words):
    sizes = {"columns": 2, "outputs": 2, "trees": 4, "nodes": 12, "depth": 1} | given
    with pytest.raises(ValueError, match=words):
        trees.DecisionTrees(**sizes)
