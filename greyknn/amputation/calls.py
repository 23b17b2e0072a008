"""Amputation by patterns and scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn.amputation.design import Design, by_column, by_pattern
from greyknn.amputation.drawing import TYPES, Items, standardized, stretch_means
from greyknn.amputation.opened import Opened, generator
from greyknn.arrays import Bools, Ints

MECHANISMS = ("mcar", "mar", "mnar")


def ampute(
    X: Any,
    rate: float = 0.1,
    *,
    mechanism: str = "mcar",
    columns: Any = None,
    patterns: Any = None,
    frequencies: Any = None,
    weights: Any = None,
    type: str = "right",
    block: int = 1,
    random_state: Any = 0,
    return_mask: bool = False,
) -> Any:
    """Make observed cells of a table missing, at random or for a reason.

    Parameters
    ----------
    X : table of shape (n_rows, n_columns)
        What ``greyknn.impute`` takes; it may have gaps, which stay.
    rate : float, default=0.1
        Share of the observed cells that go missing, between 0 and 1, counted over the columns
        that may lose cells. ``round(rate * n_cells)`` cells go, see Notes.
    mechanism : {"mcar", "mar", "mnar"}, default="mcar"
        - "mcar": completely at random;
        - "mar": the odds of a cell depend on cells of its row that stay observed;
        - "mnar": they depend on its own value, or on whatever ``weights`` say.
    columns : array-like of names, positions or booleans, optional
        The columns that may lose cells; by default all. Their order counts for "monotone".
    patterns : None, "monotone", array of shape (n_patterns, n_columns), or list of lists
        - None: every column loses the same share of its cells, each cell by itself;
        - "monotone": drop-out: a row loses one of ``columns`` and all that come after it. If
          ``columns`` are all columns, the first never goes;
        - else every row is given one pattern, and loses all its columns or none: a matrix with 1
          for what stays and 0 for what goes, or for each pattern a list of the columns that go.
    frequencies : array-like of shape (n_patterns,), optional
        Share of the rows that are given each pattern; by default equal.
    weights : list, array or mapping, optional
        Which columns the odds depend on: a row for each pattern, or without patterns for each of
        ``columns``, also as a mapping from their names. A row has a weight for every column, or
        is a mapping from names to weights. Defaults: 1 for all columns that stay ("mar"), 1 for
        those that go ("mnar").
    type : {"right", "left", "mid", "tail"}, default="right"
        Whether cells go missing where the score is high, low, in the middle, or at both ends.
    block : int, default=1
        Rows that share their fate: stretches of so many consecutive rows lose the same columns
        together, as when a sensor fails. The last stretch taken may be shorter.
    random_state : int, RandomState, Generator or None, default=0
        The same seed gives the same gaps whatever library the table is of.
    return_mask : bool, default=False
        Whether to return the removed cells too.

    Returns
    -------
    table
        As X, with gaps. Columns of integers and booleans that cannot hold a gap become what can:
        integers float64 (Python's own if float64 would change one), booleans objects. A numpy
        array changes as a whole; numpy strings become objects.
    mask : array of shape (n_rows, n_columns)
        Only with ``return_mask``: the cells that were removed, without the gaps X had.

    Raises
    ------
    ValueError, TypeError
        If the table or an argument cannot be used, or fewer cells than asked for can go: no row
        and no column loses its last observed cell (rows of a table with a single column do).

    See Also
    --------
    ampute_logistic : logistic models with slopes of your own.

    Notes
    -----
    The score of a row is the weighted sum of its standardized cells, standardized again (Schouten,
    Lugtig & Vink 2018, Generating missing values for simulation purposes: a multivariate amputation
    procedure). A gap counts as the mean, a category as the position of its level: in the order of a
    category dtype, else sorted; False is 0 and True is 1. With a block, it is the mean score of the
    stretch. The log odds of going missing are the score s for "right", -s for "left", -abs(s) for
    "mid" and abs(s) for "tail", plus the constant that gives the rate.

    The number of cells is exact with "mcar", and within one cell in every column with "mar" and
    "mnar"; with patterns it is as near as whole patterns allow. The guard of last cells moves
    odds only in rows and columns that would lose all.

    With "mar" and without patterns, the columns that are not among ``columns`` decide. If all
    columns are to lose cells, every row (every stretch, with a block) first keeps some of them,
    drawn at random: these decide about the others, and weights count for them alone. It keeps as
    many as let the others go missing with probability 1/2 at most, or at least one. What decides
    about a cell is thus always seen afterwards, in the same row or stretch; means and standard
    deviations are those of X.

    Examples
    --------
    >>> import numpy as np
    >>> from greyknn import ampute
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> table, removed = ampute(X, 0.2, mechanism="mnar", return_mask=True)
    >>> int(removed.sum()), bool((np.isnan(table) == removed).all())
    (4, True)
    """
    table = Opened(X)
    for name, given, known in (("mechanism", mechanism, MECHANISMS), ("type", type, TYPES)):
        if given not in known:
            raise ValueError(f"{name}={given!r} must be one of {', '.join(map(repr, known))}.")
    if not isinstance(block, int | np.integer) or isinstance(block, bool) or block < 1:
        raise ValueError(f"block={block!r} must be a number of rows, at least 1.")
    rng = generator(random_state)
    if patterns is None:
        if frequencies is not None:
            raise ValueError("frequencies are of patterns, and there are none: pass patterns.")
        design = by_column(table.names, columns, mechanism, weights)
    else:
        design = by_pattern(table.names, columns, patterns, frequencies, mechanism, weights)
    observed = table.observed
    total = table.to_lose(rate, design.amputed)

    unit = np.arange(len(observed)) // block  # the stretch of every row
    may_go, seen = _roles(design, mechanism, total / observed[:, design.amputed].sum(), unit, rng)
    losable = (observed.astype(np.float64) @ design.reach.T).astype(np.int64)
    size = may_go * losable
    group = np.broadcast_to(np.arange(len(design.reach)), size.shape)
    if patterns is None and mechanism == "mcar":
        group = np.zeros(size.shape, dtype=np.int64)  # all cells alike, whatever their column
    score = stretch_means((standardized(table.values) * seen) @ design.weights.T, block)[unit]
    score = standardized(np.where(size > 0, score, np.nan))
    noise = rng.logistic(size=(unit[-1] + 1, len(design.reach)))[unit]
    items = Items(TYPES[type](score) + noise, size, group, design.reach)
    return table.without(items, losable if patterns is None else size, total, return_mask)


def _roles(
    design: Design, mechanism: str, rate: float, unit: Ints, rng: np.random.Generator
) -> tuple[Bools, Bools | float]:
    """The slots that may go in each row, and the cells that may decide about them."""
    n_units, n_slots = int(unit[-1]) + 1, len(design.reach)
    if design.frequencies is not None:
        # As near to the frequencies as the number of rows allows, in random order.
        order = (rng.permutation(n_units) + 0.5) / n_units
        pattern = np.searchsorted(np.cumsum(design.frequencies)[:-1], order)
        return (pattern[:, None] == np.arange(n_slots))[unit], 1.0
    if mechanism != "mar" or not design.amputed.all():
        return np.ones((len(unit), n_slots), dtype=bool), 1.0
    going = int(np.clip(np.ceil(2 * rate * n_slots), 1, n_slots - 1))
    # Of as many units as there are columns, every column may go in equally many.
    turns = rng.random((-(-n_units // n_slots), 1, n_slots)).argsort(axis=2)
    ranks = (turns + np.arange(n_slots)[:, None]) % n_slots
    may_go = (ranks.reshape(-1, n_slots) < going)[rng.permutation(n_units)][unit]
    return may_go, may_go.astype(np.float64) @ design.reach == 0
