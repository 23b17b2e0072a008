"""Randomised trees that propose fills from tables which the network has filled.

Where columns meet in steps and corners, as pixels do, trees see more than a smooth function does
(digits). They stand beside the network in the stack, and learn from the same hidden cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.heldout import HeldOut, Verdict
from greyknn.deep.layout import Layout

PARTS = 4
"""Forests of each column, each of which never learnt from a part of the hidden cells."""

TREES = 25
FEWEST = 20
"""Hidden cells that a forest needs."""


@dataclass(frozen=True)
class Trees:
    """Trees side by side, as arrays.

    Attributes
    ----------
    features, thresholds, children, values
        Of all nodes: the input that is compared, and with what; the nodes at which those that are
        not greater, and greater, go on, the node itself at a leaf; what it says.
    roots : array of shape (n_trees,)
    """

    features: Ints
    thresholds: Floats
    children: Ints
    values: Floats
    roots: Ints

    @classmethod
    def fit(cls, inputs: Floats, outputs: Floats, seed: int) -> Trees:
        """Grow trees on inputs (n_rows, n_inputs) and outputs (n_rows, n_outputs)."""
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed, n_jobs=1)
        forest.fit(inputs, outputs if outputs.shape[1] > 1 else outputs[:, 0])
        parts, begin = [], 0
        for grown in forest.estimators_:
            tree = grown.tree_
            here = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            down = np.stack([tree.children_left, tree.children_right], 1)
            down = np.where(leaf[:, None], here[:, None], down) + begin
            features = np.where(leaf, 0, tree.feature)
            values = tree.value[:, :, 0]
            parts.append((features, np.where(leaf, 0.0, tree.threshold), down, values, begin))
            begin += tree.node_count
        columns = list(zip(*parts, strict=True))
        features, thresholds, children, values = (np.concatenate(part) for part in columns[:4])
        return cls(features, thresholds, children, values, np.array(columns[4]))

    def predict(self, inputs: Floats) -> Floats:
        """Mean of what all trees say (n_rows, n_outputs)."""
        inputs = inputs.astype(np.float32)  # as scikit-learn compares
        rows = np.arange(len(inputs))[:, None]
        nodes = np.repeat(self.roots[None], len(inputs), axis=0)
        while True:
            right = inputs[rows, self.features[nodes]] > self.thresholds[nodes]
            onward = self.children[nodes, right.astype(np.int64)]
            if (onward == nodes).all():
                break
            nodes = onward
        said: Floats = self.values[nodes].mean(axis=1)
        return said


@dataclass(frozen=True)
class Forest:
    """Trees for every column.

    Attributes
    ----------
    layout : Layout
    before : Verdict
        On all other proposals.
    trees : dict of int -> list of Trees
        Of a cell column, one for each part.
    """

    layout: Layout
    before: Verdict
    trees: dict[int, list[Trees]]

    @classmethod
    def fit(
        cls, layout: Layout, before: Verdict, held_out: HeldOut, seed: int
    ) -> tuple[Forest, HeldOut]:
        """Learn each column from all others.

        Parameters
        ----------
        layout : Layout
        before : Verdict
            On all other proposals, whose stack fills the tables that trees look at.
        held_out : HeldOut
        seed : int

        Returns
        -------
        Forest
        HeldOut
            With one more proposal, by trees that did not learn from the cell.
        """
        shown = held_out.shown[:, layout.owner.numpy()]
        filled = np.where(shown, held_out.truth, before.stack(layout, held_out.proposals))
        parts = held_out.folds % PARTS
        said = filled.copy()
        trees: dict[int, list[Trees]] = {}
        for cell in np.flatnonzero(layout.targets).tolist():
            block, some = layout.blocks[cell], np.flatnonzero(held_out.hidden[:, cell])
            part = parts[some, cell]
            if len(some) < FEWEST or (part == part[0]).all():
                continue
            inputs, outputs = _without(filled[some], block), held_out.truth[some][:, block]
            trees[cell] = []
            for left_out in range(PARTS):
                out = part == left_out
                one = Trees.fit(inputs[~out], outputs[~out], seed + left_out)
                said[some[out], block] = one.predict(inputs[out])
                trees[cell].append(one)
        proposals = np.concatenate([held_out.proposals, said[:, None]], axis=1)
        return cls(layout, before, trees), replace(held_out, proposals=proposals)

    def predict(self, proposals: Floats, dense: Floats, told: Bools) -> Floats:
        """All proposals with that of the trees behind, (n_rows, n_proposals + 1, n_outputs).

        Parameters
        ----------
        proposals : array of shape (n_rows, n_proposals, n_outputs)
        dense : array of shape (n_rows, n_outputs)
        told : bool array of shape (n_rows, n_cells)
        """
        layout = self.layout
        filled = self.before.stack(layout, proposals)
        filled = np.where(told[:, layout.owner.numpy()], dense, filled)
        said = filled.copy()
        for cell, grown in self.trees.items():
            some = np.flatnonzero(~told[:, cell])
            if len(some):
                block = layout.blocks[cell]
                inputs = _without(filled[some], block)
                said[some, block] = np.mean([one.predict(inputs) for one in grown], axis=0)
        return np.concatenate([proposals, said[:, None]], axis=1)


def _without(filled: Floats, block: slice) -> Floats:
    return np.delete(filled, block, axis=1)
