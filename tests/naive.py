"""The paper in plain loops over Python floats: the reference that every device is tested against.

"Missing Data Imputation for Classification Problems" (Choudhury & Kosorok, arXiv 2002.10709);
numbers in brackets are its equations. Nothing of the project is imported here, and no numpy.

A table is a list of rows. A cell is a float, the integer code of a category, or None (a gap);
`categorical` says which columns hold codes. A label is an int, or None for an unlabelled row;
`labels=None` means one class. Sums run in row, column or neighbour order, one term at a time.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

Cell = float | None
Row = Sequence[Cell]
Table = Sequence[Row]
Full = list[list[float]]
Labels = Sequence[int | None] | None
Neighbours = list[tuple[float, int]]
Lambdas = Sequence[float] | Sequence[Sequence[float]]

LARGEST_K = 20


class Method(TypedDict):
    """One of the paper's methods, as keyword arguments of `impute`."""

    metric: str
    weights: str
    partition: bool
    average: str


METHODS: dict[str, Method] = {
    "iknn": {"metric": "heom", "weights": "none", "partition": False, "average": "weighted"},
    "miknn": {"metric": "heom", "weights": "class", "partition": False, "average": "weighted"},
    "gknn": {"metric": "grey", "weights": "none", "partition": True, "average": "plain"},
    "fwgknn": {"metric": "grey", "weights": "feature", "partition": True, "average": "weighted"},
    "cgknn": {"metric": "grey", "weights": "class", "partition": True, "average": "weighted"},
}


def _sum(values: Iterable[float]) -> float:
    """Add one term at a time (the built-in `sum` compensates from Python 3.12 on)."""
    total = 0.0
    for value in values:
        total += value
    return total


def _mean(values: Sequence[float]) -> float:
    return _sum(values) / len(values)


def _one_of(name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, expected one of {allowed}")


# --- scaling ----------------------------------------------------------------------------------


def scale(
    table: Table, categorical: Sequence[bool]
) -> tuple[list[list[Cell]], list[float], list[float]]:
    """Scale the continuous columns to [0, 1] by their observed minimum and maximum (34).

    Returns
    -------
    scaled, lows, ranges
        A categorical column is left as it is: low 0, range 1. A constant column has range 1.
    """
    lows, ranges = [], []
    for p, codes in enumerate(categorical):
        seen = [x for row in table if (x := row[p]) is not None]
        if not seen:
            raise ValueError(f"column {p} has no observed value")
        low, high = (0.0, 1.0) if codes else (min(seen), max(seen))
        lows.append(low)
        ranges.append(high - low if high > low else 1.0)
    return [_scale_row(row, categorical, lows, ranges) for row in table], lows, ranges


def _scale_row(
    row: Row, categorical: Sequence[bool], lows: Sequence[float], ranges: Sequence[float]
) -> list[Cell]:
    """Apply (34) with given minima and ranges; nothing is clipped."""
    return [
        x if x is None or codes else (x - low) / span
        for x, codes, low, span in zip(row, categorical, lows, ranges, strict=True)
    ]


def _unscale_row(
    row: Row, filled: Sequence[float], lows: Sequence[float], ranges: Sequence[float]
) -> list[float]:
    """Undo (34) in the gaps of `row`; its observed cells are returned as they came."""
    return [
        low + value * span if x is None else x
        for x, value, low, span in zip(row, filled, lows, ranges, strict=True)
    ]


# --- mutual information -----------------------------------------------------------------------


def _entropy(codes: Sequence[float]) -> float:
    """H(Y) in bits, from frequencies (16), (25)."""
    n = len(codes)
    return -_sum(m / n * math.log2(m / n) for _, m in sorted(Counter(codes).items()))


def _plug_in(x: Sequence[float], y: Sequence[float]) -> float:
    """I(X;Y) of two categorical columns in bits, from frequencies (19) = (23).

    Written in counts, so that independent columns have exactly 0.
    """
    n, n_x, n_y = len(x), Counter(x), Counter(y)
    pairs = sorted(Counter(zip(x, y, strict=True)).items())
    return _sum(m / n * math.log2(m * n / (n_x[a] * n_y[b])) for (a, b), m in pairs)


def _deviation(x: Sequence[float]) -> float:
    """Sample standard deviation s_p (ddof 1); exactly 0 for a constant column."""
    if len(x) < 2 or min(x) == max(x):
        return 0.0
    centre = _mean(x)
    return math.sqrt(_sum((v - centre) ** 2 for v in x) / (len(x) - 1))


def _windows(x: Sequence[float], j: int) -> list[float]:
    """phi(x_j - x_i, h) for all i, with h = 1/ln n, up to its constant, which cancels in (28)."""
    width = _deviation(x) / math.log(len(x))
    return [math.exp(-(((x[j] - v) / width) ** 2) / 2) for v in x]


def class_information(
    column: Row, labels: Sequence[float | None] | None, categorical: bool
) -> float:
    """I(X_p;Y) = H(Y) - H(Y|X_p) in bits (24), over the labelled rows where p is observed.

    Frequencies (18) for codes, the Parzen estimate (26)-(29) for numbers. Clipped at 0.
    """
    if labels is None:
        return 0.0
    pairs = [(v, c) for v, c in zip(column, labels, strict=True) if v is not None and c is not None]
    x, y = [v for v, _ in pairs], [c for _, c in pairs]
    n = len(pairs)
    if n < 2:
        return 0.0
    if categorical:
        return max(0.0, _plug_in(x, y))
    if _deviation(x) == 0.0:
        return 0.0
    conditional = 0.0
    for j in range(n):
        phi = _windows(x, j)
        everything = _sum(phi)
        for c in sorted(set(y)):
            posterior = _sum(phi[i] for i in range(n) if y[i] == c) / everything  # (28)
            if posterior > 0.0:
                conditional -= posterior * math.log2(posterior) / n  # (29)
    return max(0.0, _entropy(y) - conditional)


def feature_information(x: Row, z: Row, x_categorical: bool, z_categorical: bool) -> float:
    """I(X_p;X_q) in bits, over the rows where both are observed.

    A categorical column plays the class of (24)-(29). Two continuous ones:
    (1/n) sum_i log2[p(x_i,z_i) / (p(x_i) p(z_i))], windows as in (26), their product for the
    joint density. Clipped at 0.
    """
    if z_categorical:
        return class_information(x, z, x_categorical)
    if x_categorical:
        return class_information(z, x, z_categorical)
    pairs = [(a, b) for a, b in zip(x, z, strict=True) if a is not None and b is not None]
    n = len(pairs)
    xs, zs = [a for a, _ in pairs], [b for _, b in pairs]
    if _deviation(xs) == 0.0 or _deviation(zs) == 0.0:
        return 0.0
    total = 0.0
    for i in range(n):
        phi_x, phi_z = _windows(xs, i), _windows(zs, i)
        joint = _sum(a * b for a, b in zip(phi_x, phi_z, strict=True)) / n
        total += math.log2(joint / (_sum(phi_x) / n * (_sum(phi_z) / n)))
    return max(0.0, total / n)


# --- weights ----------------------------------------------------------------------------------


def uniform_weights(n_columns: int, metric: str) -> list[float]:
    """1/J for the grey grade (33), 1 for HEOM (7)."""
    _one_of("metric", metric, "grey", "heom")
    return [1.0 / n_columns if metric == "grey" else 1.0] * n_columns


def class_weights(table: Table, labels: Labels, categorical: Sequence[bool]) -> list[float]:
    """lambda_p = I(X_p;Y) / sum_q I(X_q;Y) (30); 1/J each if all are 0. Scaled table."""
    known = _known(labels, len(table))
    information = [
        class_information([row[p] for row in table], known, codes)
        for p, codes in enumerate(categorical)
    ]
    total = _sum(information)
    if total == 0.0:
        return [1.0 / len(information)] * len(information)
    return [i / total for i in information]


def feature_weights(table: Table, categorical: Sequence[bool]) -> list[list[float]]:
    """For each target q, I(X_p;X_q) / sum over p != q; own weight 0. Scaled table.

    If a target shares no information with any column, the others weigh 1/(J-1) each.
    """
    n_columns = len(categorical)
    columns = [[row[p] for row in table] for p in range(n_columns)]
    matrix = [[0.0] * n_columns for _ in range(n_columns)]
    for q in range(n_columns):
        for p in range(q):
            matrix[q][p] = matrix[p][q] = feature_information(
                columns[p], columns[q], categorical[p], categorical[q]
            )
    for q, row in enumerate(matrix):
        total = _sum(row)
        for p in range(n_columns):
            if p != q:
                row[p] = row[p] / total if total > 0.0 else 1.0 / (n_columns - 1)
    return matrix


def _weights_of(
    weights: str, metric: str, table: Table, labels: Labels, categorical: Sequence[bool]
) -> list[float] | list[list[float]]:
    _one_of("weights", weights, "none", "class", "feature")
    if weights == "class":
        return class_weights(table, labels, categorical)
    if weights == "feature":
        return feature_weights(table, categorical)
    return uniform_weights(len(categorical), metric)


def _per_target(lambdas: Lambdas, n_columns: int) -> list[list[float]]:
    """One list of weights for each target column: a single list is good for all."""
    single = [w for w in lambdas if isinstance(w, (int, float))]
    if single:
        return [single] * n_columns
    return [list(row) for row in lambdas if not isinstance(row, (int, float))]


# --- distances and neighbours -----------------------------------------------------------------


def extremes(query: Row, donors: Table, categorical: Sequence[bool]) -> tuple[float, float] | None:
    """Dmin and Dmax of (32): over all donors and all continuous columns observed in both.

    None when there is no such pair of cells.
    """
    differences = [
        abs(a - b)
        for donor in donors
        for a, b, codes in zip(query, donor, categorical, strict=True)
        if not codes and a is not None and b is not None
    ]
    return (min(differences), max(differences)) if differences else None


def grey_coefficients(
    query: Row, donors: Table, categorical: Sequence[bool], rho: float
) -> list[list[float]]:
    """GRC of the query with every donor (rows) in every column (32); the donors are S.

    A missing value counts 0; a category 1 if equal, else 0; a number 1 if Dmax is 0.
    """
    found = extremes(query, donors, categorical)
    smallest, largest = found if found is not None else (0.0, 0.0)
    coefficients = []
    for donor in donors:
        row = []
        for a, b, codes in zip(query, donor, categorical, strict=True):
            if a is None or b is None:
                row.append(0.0)
            elif codes:
                row.append(1.0 if a == b else 0.0)
            elif largest == 0.0:
                row.append(1.0)
            else:
                row.append((smallest + rho * largest) / (abs(a - b) + rho * largest))
        coefficients.append(row)
    return coefficients


def grey_grade(coefficients_row: Sequence[float], weights: Sequence[float]) -> float:
    """GRG = sum_p lambda_p GRC_p (35); with lambda_p = 1/J it is (33)."""
    return _sum(w * g for w, g in zip(weights, coefficients_row, strict=True))


def _heom_part(a: Cell, b: Cell, codes: bool) -> float:
    """d_p of HEOM (8)-(10), on scaled values."""
    if a is None or b is None:
        return 1.0
    if codes:
        return 0.0 if a == b else 1.0
    return min(abs(a - b), 1.0)


def totals(
    query: Row,
    donors: Table,
    categorical: Sequence[bool],
    weights: Sequence[float],
    metric: str,
    rho: float,
) -> list[float]:
    """What the donors are ranked by.

    "grey": sum_p lambda_p (1 - GRC_p), which is D of (36) when lambda sums to 1.
    "heom": sum_p lambda_p d_p^2, the square of (7) or (31).

    Rounded to multiples of 2^-44, so that the rounding of sums does not break ties.
    """
    _one_of("metric", metric, "grey", "heom")
    if metric == "grey":
        sums = [
            _sum(w * (1.0 - g) for w, g in zip(weights, row, strict=True))
            for row in grey_coefficients(query, donors, categorical, rho)
        ]
    else:
        sums = [
            _sum(
                w * _heom_part(a, b, codes) ** 2
                for a, b, codes, w in zip(query, donor, categorical, weights, strict=True)
            )
            for donor in donors
        ]
    return [math.floor(total * 2.0**44 + 0.5) / 2.0**44 for total in sums]


def neighbours(
    query: Row,
    donors: Table,
    donor_rows: Sequence[int],
    categorical: Sequence[bool],
    weights: Sequence[float],
    metric: str,
    rho: float,
    k: int,
) -> Neighbours | None:
    """Rank the donors and keep the k nearest, as (distance, row); ties go to the lower row.

    None if the query has no observed cell in a column of positive weight.
    """
    if not any(a is not None and w > 0.0 for a, w in zip(query, weights, strict=True)):
        return None
    found = totals(query, donors, categorical, weights, metric, rho)
    nearest = sorted(zip(found, donor_rows, strict=True))[:k]
    return [(math.sqrt(d) if metric == "heom" else d, row) for d, row in nearest]


# --- filling ----------------------------------------------------------------------------------


def fill_number(values: Sequence[float], distances: Sequence[float], average: str) -> float:
    """Mean of the neighbours' values, weighted by 1/D^2 (11), (36), or "plain".

    If a distance is 0: the plain mean over the neighbours at distance 0.
    """
    _one_of("average", average, "weighted", "plain")
    if average == "plain":
        return _mean(values)
    if min(distances) == 0.0:
        return _mean([v for v, d in zip(values, distances, strict=True) if d == 0.0])
    # The factor min(D)^2 cancels; it keeps 1/D^2 finite.
    weights = [(min(distances) / d) ** 2 for d in distances]
    return _sum(w * v for w, v in zip(weights, values, strict=True)) / _sum(weights)


def fill_category(codes: Sequence[float], distances: Sequence[float], average: str) -> float:
    """The code with the largest score (13), (14) by Dudani's weights (12), or equal ("plain").

    The distances are ascending. A tie goes to the smallest code.
    """
    _one_of("average", average, "weighted", "plain")
    first, last = distances[0], distances[-1]
    if average == "plain" or last - first <= 1e-12 * last:
        weights = [1.0] * len(codes)
    else:
        weights = [(last - d) / (last - first) for d in distances]
    return _largest_score(codes, weights)


def _largest_score(codes: Sequence[float], weights: Sequence[float]) -> float:
    scores: dict[float, float] = {}
    for code, weight in zip(codes, weights, strict=True):
        scores[code] = scores.get(code, 0.0) + weight
    return min(scores, key=lambda code: (-scores[code], code))


def _centre(values: Sequence[float], codes: bool) -> float:
    """Mean, or the most frequent code (tie: the smallest)."""
    if not values:
        raise ValueError("a column has no observed value to start from")
    return _largest_score(values, [1.0] * len(values)) if codes else _mean(values)


def starting_fill(
    table: Table, labels: Labels, categorical: Sequence[bool], partition: bool
) -> Full:
    """X(0): every gap gets the mean or mode of the observed cells of its class.

    The class is all rows if there is no partition, if the row has no label, or if no row of the
    class has the column observed; all rows include the unlabelled ones.
    """
    known = _known(labels, len(table))
    filled = []
    for row, label in zip(table, known, strict=True):
        new = []
        for p, x in enumerate(row):
            if x is None:
                anyone = [v for r in table if (v := r[p]) is not None]
                mates = [
                    v
                    for r, c in zip(table, known, strict=True)
                    if partition and label is not None and c == label and (v := r[p]) is not None
                ]
                x = _centre(mates or anyone, categorical[p])
            new.append(x)
        filled.append(new)
    return filled


# --- one iteration, and the loop ---------------------------------------------------------------


@dataclass(frozen=True)
class _Rules:
    """What a ranking and a fill depend on, besides the tables."""

    categorical: Sequence[bool]
    matrix: Sequence[Sequence[float]]
    metric: str
    average: str
    k: int
    metric_on: str
    donors: str
    rho: float

    def __post_init__(self) -> None:
        _one_of("metric_on", self.metric_on, "observed", "imputed")
        _one_of("donors", self.donors, "all", "observed")

    def rank(
        self, i: int, p: int, table: Table, filled: Table, candidates: Iterable[int]
    ) -> Neighbours:
        """Neighbours of the gap (i, p) among S; empty if it is to keep its starting fill."""
        compared = [j for j in candidates if self.donors == "all" or table[j][p] is not None]
        seen = table if self.metric_on == "observed" else filled
        return (
            neighbours(
                seen[i],
                [seen[j] for j in compared],
                compared,
                self.categorical,
                self.matrix[p],
                self.metric,
                self.rho,
                self.k,
            )
            or []
        )

    def fill(self, p: int, found: Neighbours, values: Full) -> float:
        """The fill of a gap of column p from its neighbours' `values` (11)-(14)."""
        filler = fill_category if self.categorical[p] else fill_number
        return filler([values[j][p] for _, j in found], [d for d, _ in found], self.average)


def _known(labels: Labels, n_rows: int) -> list[int | None]:
    return [0] * n_rows if labels is None else list(labels)


def _candidates(labels: Sequence[int | None], partition: bool) -> dict[int, list[int]]:
    """S of every row that takes part: the other rows, with a partition those of its class."""
    return {
        i: [j for j, c in enumerate(labels) if j != i and (not partition or c == label)]
        for i, label in enumerate(labels)
        if not partition or label is not None
    }


def _change(before: Full, after: Full, gaps: Sequence[tuple[int, int]], rules: _Rules) -> float:
    """delta_t of (15), (37): root mean square change over the gaps; a new category counts 1."""
    if not gaps:
        return 0.0
    squares = []
    for i, p in gaps:
        difference = after[i][p] - before[i][p]
        squares.append(float(difference != 0.0) if rules.categorical[p] else difference**2)
    return math.sqrt(_mean(squares))


def _iterate(
    table: Table,
    start: Full,
    candidates: Mapping[int, Sequence[int]],
    rules: _Rules,
    tol: float,
    max_iter: int,
) -> tuple[Full, list[float], bool]:
    """Refill the gaps of the rows in `candidates` from X(t-1) until little changes (15), (37).

    Returns
    -------
    filled, convergence, converged
        `convergence` has delta_t of every iteration; `converged` says whether the last one was
        at most `tol`, not a cycle (X(t) = X(t-2)) or the end of the allowance.
    """
    gaps = [(i, p) for i in candidates for p, x in enumerate(table[i]) if x is None]
    history = [start]
    convergence: list[float] = []
    found: dict[tuple[int, int], Neighbours] = {}
    for t in range(1, max_iter + 1):
        before = history[-1]
        if t == 1 or rules.metric_on == "imputed":
            found = {(i, p): rules.rank(i, p, table, before, candidates[i]) for i, p in gaps}
        after = [list(row) for row in before]
        for i, p in gaps:
            if found[i, p]:
                after[i][p] = rules.fill(p, found[i, p], before)
        history.append(after)
        convergence.append(_change(before, after, gaps, rules))
        if convergence[-1] <= tol:
            return after, convergence, True
        if t >= 2 and all(abs(after[i][p] - history[-3][i][p]) <= 1e-12 for i, p in gaps):
            break
    return history[-1], convergence, False


@dataclass(frozen=True)
class Imputed:
    """What `impute` returns.

    Attributes
    ----------
    filled : on the original scale; observed cells are the input's.
    scaled_filled, starting : X(t) at the end and X(0), on the [0, 1] scale.
    weights : lambda, one list, or one per target column for weights="feature".
    n_iter, convergence, converged : of the joint iteration; delta_t of every iteration.
    """

    filled: Full
    scaled_filled: Full
    weights: list[float] | list[list[float]]
    n_iter: int
    convergence: list[float]
    converged: bool
    starting: Full


def impute(
    table: Table,
    labels: Labels,
    categorical: Sequence[bool],
    *,
    metric: str,
    weights: str,
    partition: bool,
    average: str,
    k: int,
    metric_on: str = "observed",
    donors: str = "all",
    rho: float = 0.5,
    tol: float = 1e-3,
    max_iter: int = 20,
    lambdas: Lambdas | None = None,
) -> Imputed:
    """Fill a table: scale (34), weights (30), X(0), then iterate (11)-(14) to (15), (37).

    With a partition, unlabelled rows come last, each like a row of `transform` with the
    labelled rows as donors. `lambdas` replaces the weights that would be computed.
    """
    known = _known(labels, len(table))
    scaled, lows, ranges = scale(table, categorical)
    if lambdas is None:
        lambdas = _weights_of(weights, metric, scaled, labels, categorical)
    matrix = _per_target(lambdas, len(categorical))
    rules = _Rules(categorical, matrix, metric, average, k, metric_on, donors, rho)
    starting = starting_fill(scaled, labels, categorical, partition)
    candidates = _candidates(known, partition)
    filled, convergence, converged = _iterate(scaled, starting, candidates, rules, tol, max_iter)
    labelled = list(candidates)
    alone = [i for i in range(len(table)) if i not in candidates]
    for i in alone:
        filled[i] = _iterate(scaled, filled, {i: labelled}, rules, tol, max_iter)[0][i]
    return Imputed(
        filled=[
            _unscale_row(row, new, lows, ranges) for row, new in zip(table, filled, strict=True)
        ],
        scaled_filled=filled,
        weights=matrix if weights == "feature" else matrix[0],
        n_iter=len(convergence),
        convergence=convergence,
        converged=converged,
        starting=starting,
    )


def transform(
    imputed: Imputed,
    table: Table,
    labels: Labels,
    categorical: Sequence[bool],
    new_rows: Table,
    *,
    metric: str,
    weights: str,
    partition: bool,
    average: str,
    k: int,
    metric_on: str = "observed",
    donors: str = "all",
    rho: float = 0.5,
    tol: float = 1e-3,
    max_iter: int = 20,
    lambdas: Lambdas | None = None,
) -> Full:
    """Fill rows without labels, each alone, from ALL rows of the imputed training table.

    The other arguments are those that `impute` had. Scaling, weights and k are those of training;
    the starting fill is the mean or mode of all training rows.
    """
    del labels, weights, partition, lambdas  # a new row has no class; imputed.weights is used
    scaled, lows, ranges = scale(table, categorical)
    matrix = _per_target(imputed.weights, len(categorical))
    rules = _Rules(categorical, matrix, metric, average, k, metric_on, donors, rho)
    n = len(scaled)
    centres = [
        _centre([x for row in scaled if (x := row[p]) is not None], codes)
        for p, codes in enumerate(categorical)
    ]
    result = []
    for row in new_rows:
        seen = _scale_row(row, categorical, lows, ranges)
        start = [m if x is None else x for x, m in zip(seen, centres, strict=True)]
        filled, _, _ = _iterate(
            [*scaled, seen],
            [*imputed.scaled_filled, start],
            {n: range(n)},
            rules,
            tol,
            max_iter,
        )
        result.append(_unscale_row(row, filled[n], lows, ranges))
    return result


# --- choice of k --------------------------------------------------------------------------------


def _best(errors: Mapping[int, float]) -> int:
    """The k of the smallest error; ties (to 1e-12 relative) go to the largest k."""
    if not errors:
        raise ValueError("nothing could be scored, so no k can be chosen")
    smallest = min(errors.values())
    return max(k for k, error in errors.items() if error <= smallest * (1.0 + 1e-12))


def choose_k_cv(
    table: Table,
    labels: Labels,
    categorical: Sequence[bool],
    folds: Sequence[int | None],
    *,
    metric: str,
    weights: str,
    partition: bool,
    average: str,
    metric_on: str = "observed",
    donors: str = "all",
    rho: float = 0.5,
    lambdas: Sequence[float] | None = None,
) -> tuple[int, dict[int, float]]:
    """Choose k by the misclassification of a majority-vote kNN with the method's metric.

    Parameters
    ----------
    folds : the fold of every row (ignored for unlabelled rows).
    partition : matters for X(0) only, and so for metric_on="imputed" only.
    lambdas : replaces the computed weights; for weights="feature" these are the class weights.

    Returns
    -------
    k, errors
        errors[k] = errors / queries scored, k = 1..min(20, labelled rows - largest fold).
    """
    del average, donors  # no cell is filled here
    _one_of("metric_on", metric_on, "observed", "imputed")
    known = _known(labels, len(table))
    labelled = [i for i, c in enumerate(known) if c is not None]
    if len({known[i] for i in labelled}) < 2:
        raise ValueError("fewer than 2 classes: use choose_k_masked")
    scaled, _, _ = scale(table, categorical)
    if lambdas is None:
        kind = "class" if weights == "feature" else weights
        computed = _weights_of(kind, metric, scaled, labels, categorical)
        lambdas = _per_target(computed, len(categorical))[0]
    seen: Table = scaled
    if metric_on == "imputed":
        seen = starting_fill(scaled, labels, categorical, partition)
    largest_fold = max(Counter(folds[i] for i in labelled).values())
    grid = range(1, min(LARGEST_K, len(labelled) - largest_fold) + 1)
    wrong, scored = dict.fromkeys(grid, 0), 0
    for i in labelled:
        rest = [j for j in labelled if folds[j] != folds[i]]
        compared = [seen[j] for j in rest]
        found = neighbours(seen[i], compared, rest, categorical, lambdas, metric, rho, LARGEST_K)
        if found is None:
            continue
        scored += 1
        votes = [c for _, j in found if (c := known[j]) is not None]
        for k in grid:
            wrong[k] += _largest_score(votes[:k], [1.0] * k) != known[i]
    errors = {k: wrong[k] / scored for k in grid} if scored else {}
    return _best(errors), errors


def choose_k_masked(
    table: Table,
    labels: Labels,
    categorical: Sequence[bool],
    masks: Sequence[Sequence[tuple[int, int]]],
    *,
    metric: str,
    weights: str,
    partition: bool,
    average: str,
    metric_on: str = "observed",
    donors: str = "all",
    rho: float = 0.5,
    lambdas: Lambdas | None = None,
) -> tuple[int, dict[int, float]]:
    """Choose k by the error of one iteration on observed cells that are masked.

    Parameters
    ----------
    masks : folds of observed cells (row, column); scaling and weights are of the unmasked table.

    Returns
    -------
    k, errors
        errors[k] = mean over all scored cells of the squared difference on the [0, 1] scale, or
        of 0/1 for a category; k = 1..min(20, the largest number of donors of a scored cell).
    """
    known = _known(labels, len(table))
    scaled, _, _ = scale(table, categorical)
    if lambdas is None:
        lambdas = _weights_of(weights, metric, scaled, labels, categorical)
    matrix = _per_target(lambdas, len(categorical))
    rules = _Rules(categorical, matrix, metric, average, LARGEST_K, metric_on, donors, rho)
    candidates = _candidates(known, partition)
    scored: list[list[float]] = []  # for each scored cell, its error at k = 1, 2, ..., 20
    largest = 0
    for cells in masks:
        hidden = set(cells)
        masked = [
            [None if (i, p) in hidden else x for p, x in enumerate(row)]
            for i, row in enumerate(scaled)
        ]
        start = starting_fill(masked, labels, categorical, partition)
        for i, p in cells:
            found = rules.rank(i, p, masked, start, candidates.get(i, []))
            truth = scaled[i][p]
            if truth is None:
                raise ValueError(f"the masked cell ({i}, {p}) is not an observed one")
            if not found:
                continue
            largest = max(largest, len(found))
            fills = [rules.fill(p, found[:k], start) for k in range(1, LARGEST_K + 1)]
            scored.append(
                [float(x != truth) if categorical[p] else (truth - x) ** 2 for x in fills]
            )
    errors = {k: _mean([cell[k - 1] for cell in scored]) for k in range(1, largest + 1)}
    return _best(errors), errors
