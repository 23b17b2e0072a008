"""Target-weighted grey kNN in plain loops over Python floats: what "tgknn" is tested against.

As in naive.py nothing of the project is imported, and no numpy; a cell is a float, the code of a
category, or None. A table here has numbers as ranks where distances see it ("seen"), or on [0, 1]
where values are averaged. An output is a list: the number, or ones and zeros for the levels.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from scipy.special import chdtrc

import naive
from naive import Cell, Labels, Row, Table

Matrix = list[list[float]]

SIZES = (1, 2, 3, 5, 8, 12, 20, 30, 40)
SHARPNESSES = (0.0,), (10.0, 10.0 / 3.0)
PENALTIES = [10.0 ** (-3.0 + 4.5 * step / 9) for step in range(10)]
LINE_PENALTIES = [10.0 ** (-4.0 + 5.5 * step / 11) for step in range(12)]
LEVEL, PULL, LEAST = 10.0, 0.25**2, 1e-6


# --- what distances see, and weights ----------------------------------------------------------


def rank(numbers: Sequence[float], cell: float) -> float:
    """Share of numbers that are smaller, of equal ones half."""
    return sum(0.5 * (x < cell) + 0.5 * (x <= cell) for x in numbers) / len(numbers)


def ranks(table: Table, of: Table, categorical: Sequence[bool]) -> list[list[Cell]]:
    """Every number of a table as its rank among those of another."""
    columns = [[x for row in of if (x := row[p]) is not None] for p in range(len(categorical))]
    return [
        [x if x is None or codes else rank(column, x) for x, column, codes in zip(*by_column)]
        for row in table
        for by_column in [(row, columns, categorical)]
    ]


def bins(column: Row, categorical: bool, most_levels: int = 64) -> list[Cell]:
    """Bins of equal frequency for ranks, as many as the cube root of their count, 2 to 16."""
    seen = [x for x in column if x is not None]
    if not categorical:
        n = min(max(round(len(seen) ** (1 / 3)), 2), 16)
        return [None if x is None else float(min(math.floor(x * n), n - 1)) for x in column]
    sizes = Counter(seen)
    kept = sorted(sizes, key=lambda code: (-sizes[code], code))
    if len(kept) > most_levels:
        kept = kept[: most_levels - 1]
    return [None if x is None else x if x in kept else -1.0 for x in column]


def information(x: Row, z: Row) -> float:
    """Mutual information of two binned columns in nats, without its bias; 0 if not significant."""
    pairs = [(a, b) for a, b in zip(x, z) if a is not None and b is not None]
    n, n_x, n_z = len(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    freedom = (len(n_x) - 1) * (len(n_z) - 1)
    if n == 0 or freedom == 0:
        return 0.0
    plug_in = math.fsum(
        m / n * math.log(m * n / (n_x[a] * n_z[b])) for (a, b), m in Counter(pairs).items()
    )
    if chdtrc(freedom, 2.0 * n * plug_in) >= 0.05:
        return 0.0
    return max(plug_in - freedom / (2.0 * n), 0.0)


def all_information(seen: Table, categorical: Sequence[bool], n_targets: int) -> Matrix:
    """Of each target with every column; 0 with itself."""
    columns = [bins([row[p] for row in seen], codes) for p, codes in enumerate(categorical)]
    return [
        [0.0 if p == q else information(columns[q], x) for p, x in enumerate(columns)]
        for q in range(n_targets)
    ]


def weights_of(rows: Matrix) -> Matrix:
    """Rows made to sum to 1; where all are 0 the others count the same."""
    weights = []
    for q, row in enumerate(rows):
        row = row if sum(row) > 0 else [float(p != q) for p in range(len(row))]
        weights.append([w / (sum(row) or 1.0) for w in row])
    return weights


# --- proposals --------------------------------------------------------------------------------


def grade(
    query: Row, donor: Row, weights: Sequence[float], categorical: Sequence[bool], rho: float
) -> float:
    """Grey relational grade (35) with Dmin = 0 and Dmax = 1."""
    total = 0.0
    for a, b, w, codes in zip(query, donor, weights, categorical, strict=True):
        if a is None or b is None:
            continue
        total += w * (float(a == b) if codes else rho / (abs(a - b) + rho))
    return total


def resemblance(grade: float, sharpness: float) -> float:
    return math.exp(sharpness * (grade - 1.0)) if sharpness else grade


def near_mean(
    found: Sequence[tuple[float, Sequence[float]]], center: Sequence[float]
) -> list[float]:
    """Mean of outputs weighted by 1/D^2; only those at distance 0 if there are any."""
    if not found:
        return list(center)
    equal = [output for distance, output in found if distance == 0.0]
    weighted = [(1.0, output) for output in equal] or [(d**-2, output) for d, output in found]
    whole = math.fsum(w for w, _ in weighted)
    return [math.fsum(w * out[o] for w, out in weighted) / whole for o in range(len(center))]


def solved(matrix: Matrix, rights: Matrix) -> Matrix:
    """Gauss and Jordan's elimination; each row of ``rights`` belongs to one of the matrix."""
    n = len(matrix)
    rows = [[*row, *right] for row, right in zip(matrix, rights, strict=True)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i and rows[r][i] != 0.0:
                by = rows[r][i]
                rows[r] = [x - by * y for x, y in zip(rows[r], rows[i])]
    return [row[n:] for row in rows]


def mean_of(outputs: Matrix) -> list[float]:
    return [math.fsum(column) / len(outputs) for column in zip(*outputs)]


def ridge(kernel: Matrix, outputs: Matrix, penalty: float) -> Matrix:
    """Dual variables of the outputs less their mean."""
    center = mean_of(outputs)
    system = [
        [x + LEVEL + penalty * (i == j) for j, x in enumerate(row)] for i, row in enumerate(kernel)
    ]
    return solved(system, [[x - c for x, c in zip(row, center)] for row in outputs])


def ridge_left_out(kernel: Matrix, outputs: Matrix, penalty: float) -> Matrix:
    """Each row as the others predict it; all rows' mean is what they add to."""
    center, predicted = mean_of(outputs), []
    for i in range(len(kernel)):
        others = [j for j in range(len(kernel)) if j != i]
        system = [[kernel[a][b] + LEVEL + penalty * (a == b) for b in others] for a in others]
        duals = solved(system, [[x - c for x, c in zip(outputs[a], center)] for a in others])
        predicted.append([
            c + math.fsum((kernel[i][j] + LEVEL) * dual[o] for j, dual in zip(others, duals))
            for o, c in enumerate(center)
        ])  # fmt: skip
    return predicted


def standardized(inputs: Matrix) -> tuple[list[float], list[float]]:
    """Means and deviations; infinite for constants, which thereby have no slope."""
    center = mean_of(inputs) if inputs else []
    spread = [
        math.sqrt(math.fsum((x - c) ** 2 for x in column) / len(inputs))
        for column, c in zip(zip(*inputs), center)
    ]
    return center, [s if s > 1e-9 * max(abs(c), 1.0) else math.inf for s, c in zip(spread, center)]


def line(rows: Matrix, outputs: Matrix, penalty: float) -> Matrix:
    """Intercept, which is not shrunk, and slopes by rows' normal equations; a row of each."""
    with_one = [[1.0, *row] for row in rows]
    width = len(with_one[0])
    system = [
        [math.fsum(row[a] * row[b] for row in with_one) + penalty * (a == b > 0)
         for b in range(width)]
        for a in range(width)
    ]  # fmt: skip
    rights = [
        [math.fsum(row[a] * out[o] for row, out in zip(with_one, outputs))
         for o in range(len(outputs[0]))]
        for a in range(width)
    ]  # fmt: skip
    return solved(system, rights)


def on_line(slopes: Matrix, row: Sequence[float]) -> list[float]:
    return [math.fsum(x * s for x, s in zip([1.0, *row], column)) for column in zip(*slopes)]


def line_left_out(rows: Matrix, outputs: Matrix, penalty: float) -> Matrix:
    """Each row on the line through the others, whose scale is that of all rows."""
    return [
        on_line(line(rows[:i] + rows[i + 1 :], outputs[:i] + outputs[i + 1 :], penalty), rows[i])
        for i in range(len(rows))
    ]


def wrong(predicted: Matrix, outputs: Matrix) -> float:
    """Mean squared error."""
    parts = [(p - x) ** 2 for a, b in zip(predicted, outputs) for p, x in zip(a, b)]
    return math.fsum(parts) / len(parts)


def stacked(proposals: Sequence[Matrix], outputs: Matrix) -> list[float]:
    """Non-negative shares, their sum 1, by trying which of them are 0.

    The pull is relative to what the best proposal errs by.
    """
    center, n = mean_of(outputs), len(proposals)
    errors = [[p - x for a, b in zip(one, outputs) for p, x in zip(a, b)] for one in proposals]
    spread = math.fsum((x - c) ** 2 for row in outputs for x, c in zip(row, center))
    best = min(math.fsum(error * error for error in one) for one in errors)
    scale = max(best, LEAST * spread, LEAST * 1e-20 * len(outputs))
    matrix = [
        [math.fsum(a * b for a, b in zip(x, y)) / scale + PULL * (i == j)
         for j, y in enumerate(errors)]
        for i, x in enumerate(errors)
    ]  # fmt: skip
    least, found = math.inf, [0.0] * n
    for size in range(1, n + 1):
        for some in combinations(range(n), size):
            # Where its gradient is the same along all of them a form is least for a given sum.
            solution = solved([[matrix[i][j] for j in some] for i in some], [[1.0]] * size)
            total = math.fsum(share for (share,) in solution)
            if all(share >= 0.0 for (share,) in solution) and 1.0 / total < least:
                least, found = 1.0 / total, [0.0] * n
                for i, (share,) in zip(some, solution):
                    found[i] = share / total
    return found


# --- all together -----------------------------------------------------------------------------


class Learnt(NamedTuple):
    """What there is to compare."""

    filled: list[list[float]]
    weights: Matrix
    sizes: dict[int, int]
    shares: dict[int, list[float]]
    errors: dict[int, float]
    new: list[list[float]]


def impute(
    table: Table, categorical: Sequence[bool], labels: Labels = None, rho: float = 0.2,
    sizes: Sequence[int] = SIZES, new: Table = (), pillars: dict[int, list[int]] | None = None,
) -> Learnt:  # fmt: skip
    """Fill a table, and new rows, if no row has a label.

    Ridges and lines stand on the given pillars of each column, or on all its donors.
    """
    n_columns = len(categorical)
    scaled, lows, spans = naive.scale(table, categorical)
    new_scaled = [
        [x if x is None or codes else (x - low) / span
         for x, codes, low, span in zip(row, categorical, lows, spans)]
        for row in new
    ]  # fmt: skip
    seen, new_seen = ranks(table, table, categorical), ranks(new, table, categorical)
    kinds = list(categorical)
    if labels is not None:
        kinds.append(True)
        seen = [[*row, label] for row, label in zip(seen, labels, strict=True)]
    told = all_information(seen, kinds, n_columns)
    weights = weights_of(told)
    squares = weights_of([[w * w for w in row] for row in weights])
    gappy = [q for q in range(n_columns) if any(row[q] is None for row in [*scaled, *new_scaled])]

    def donors_of(q: int) -> list[int]:
        return [i for i, row in enumerate(scaled) if row[q] is not None]

    def pillars_of(q: int) -> list[int]:
        return donors_of(q) if pillars is None else pillars[q]

    def fillable(q: int) -> list[float]:
        return sorted({float(scaled[i][q]) for i in pillars_of(q)})

    def output_of(q: int, i: int) -> list[float] | None:
        """None for a level that no pillar has."""
        x, levels = float(scaled[i][q]), fillable(q)
        if not categorical[q]:
            return [x]
        return [float(x == level) for level in levels] if x in levels else None

    def outputs_of(q: int) -> tuple[list[int], Matrix]:
        return pillars_of(q), [output_of(q, i) for i in pillars_of(q)]

    def near(q: int, lambdas: Sequence[float], query: Row, own: int | None) -> list:
        """Distance and output of all donors but the row itself, nearest first."""
        others = [i for i in donors_of(q) if i != own]
        found = naive.neighbours(
            query, [seen[i] for i in others], others, kinds, lambdas, "grey", rho, sizes[-1]
        )
        return [(d, output_of(q, i)) for d, i in found or []]

    def mean_near(found: list, size: int, center: Sequence[float]) -> list[float]:
        return near_mean([one for one in found[:size] if one[1] is not None], center)

    def decided(q: int, proposals: Sequence[Sequence[float]], shares: Sequence[float]) -> float:
        whole = [math.fsum(s * p for s, p in zip(shares, at)) for at in zip(*proposals)]
        if categorical[q]:
            return fillable(q)[max(range(len(whole)), key=lambda o: (whole[o], -o))]
        given = [x for row in scaled if (x := row[q]) is not None]
        return min(max(whole[0], min(given)), max(given))

    proposers, left_out, early, chosen = {}, {}, {}, {}
    for q in gappy:
        donors, outputs = outputs_of(q)
        center = mean_of(outputs)
        mine, alone = [], []
        for lambdas in (weights[q], squares[q]):
            hidden = [[None if p == q else x for p, x in enumerate(seen[i])] for i in donors]
            found = [near(q, lambdas, query, i) for i, query in zip(donors, hidden)]
            most = min(sizes[-1], len(donors_of(q)))
            tried = [
                (size, [mean_near(one, size, center) for one in found])
                for size in sorted({*(s for s in sizes if s <= most), most}, reverse=True)
            ]  # of equally good ones the largest
            size, guess = min(tried, key=lambda one: wrong(one[1], outputs))
            chosen.setdefault(q, size)
            mine.append(lambda row, q=q, w=lambdas, s=size, c=center: mean_near(
                near(q, w, row, None), s, c
            ))  # fmt: skip
            alone.append(guess)
        grades = [[grade(seen[i], seen[j], weights[q], kinds, rho) for j in donors] for i in donors]
        for sharpnesses in SHARPNESSES:
            options = []
            for sharpness in sharpnesses:
                kernel = [[resemblance(g, sharpness) for g in row] for row in grades]
                trace = max(math.fsum(row[i] for i, row in enumerate(kernel)) / len(kernel), 1e-3)
                for penalty in PENALTIES:
                    guess = quickly_left_out(kernel, outputs, penalty * trace)
                    options.append((wrong(guess, outputs), sharpness, penalty * trace, guess))
            _, sharpness, penalty, guess = min(options, key=lambda option: option[0])
            kernel = [[resemblance(g, sharpness) for g in row] for row in grades]
            duals = ridge(kernel, outputs, penalty)
            mine.append(lambda row, q=q, s=sharpness, a=duals, c=center, d=donors: [
                at + math.fsum(
                    (resemblance(grade(row, seen[i], weights[q], kinds, rho), s) + LEVEL) * dual[o]
                    for i, dual in zip(d, a)
                )
                for o, at in enumerate(c)
            ])  # fmt: skip
            alone.append(guess)
        proposers[q], left_out[q], early[q] = mine, alone, stacked(alone, outputs)

    def begun(row: Row, query: Row) -> list[float]:
        return [
            x if x is not None else decided(q, [one(query) for one in proposers[q]], early[q])
            for q, x in enumerate(row)
        ]

    levels = {
        p: sorted({row[p] for row in seen if row[p] is not None})
        for p, codes in enumerate(kinds)
        if codes
    }

    def inputs(q: int, filled: Sequence[float], label: Sequence[Cell]) -> list[float]:
        values: list[float] = []
        for p, x in enumerate([*filled, *label]):
            if p != q and p not in levels:
                values.append(x)
            elif p != q and len(levels[p]) <= 12:
                values += [float(x == level) for level in levels[p]]
        return values

    def unknowing(q: int, i: int) -> list[float]:
        """A pillar as if it had nothing of what it is to be predicted for."""
        return begun(scaled[i], [None if p == q else x for p, x in enumerate(seen[i])])

    shares, errors, at_last = {}, {}, {}
    for q in gappy:
        donors, outputs = outputs_of(q)
        raw = [inputs(q, unknowing(q, i), seen[i][n_columns:]) for i in donors]
        alone = left_out[q]
        if raw[0]:
            center, spread = standardized(raw)
            rows = [[(x - c) / s for x, c, s in zip(row, center, spread)] for row in raw]
            power = math.fsum(x * x for row in rows for x in row) / len(raw[0])
            tried = [(line_left_out(rows, outputs, p * power), p * power) for p in LINE_PENALTIES]
            guess, penalty = min(tried, key=lambda one: wrong(one[0], outputs))
            alone = [*alone, guess]
            at_last[q] = center, spread, line(rows, outputs, penalty)
        shares[q] = stacked(alone, outputs)
        given = [scaled[i][q] for i in donors]
        fills = [decided(q, at, shares[q]) for at in zip(*alone)]
        if categorical[q]:
            errors[q] = sum(fill != x for fill, x in zip(fills, given)) / len(given)
        else:
            errors[q] = spans[q] * math.sqrt(wrong([fills], [given]))

    def finished(row: Row, query: Row) -> list[float]:
        if all(x is None for x in query):
            return middle
        start, values = begun(row, query), []
        for q, x in enumerate(row):
            if x is None:
                proposals = [one(query) for one in proposers[q]]
                if q in at_last:
                    center, spread, slopes = at_last[q]
                    mine = inputs(q, start, query[n_columns:])
                    scaled_inputs = [(v - c) / s for v, c, s in zip(mine, center, spread)]
                    proposals.append(on_line(slopes, scaled_inputs))
                x = decided(q, proposals, shares[q])
            values.append(lows[q] + x * spans[q])
        return values

    middle = [middle_of([row[q] for row in table], codes) for q, codes in enumerate(categorical)]
    filled = [finished(*rows) for rows in zip(scaled, seen)]
    later = [finished(*rows) for rows in zip(new_scaled, new_seen)]
    return Learnt(filled, [row[:n_columns] for row in weights], chosen, shares, errors, later)


def middle_of(column: Row, categorical: bool) -> float:
    """Mean, or the first of the most frequent levels."""
    given = [x for x in column if x is not None]
    if categorical:
        return min(given, key=lambda x: (-given.count(x), x))
    return math.fsum(given) / len(given)


def quickly_left_out(kernel: Matrix, outputs: Matrix, penalty: float) -> Matrix:
    """``ridge_left_out`` by what is known of the inverse; a test says that they are the same."""
    n = len(kernel)
    system = [[x + LEVEL + penalty * (i == j) for j, x in enumerate(row)]
              for i, row in enumerate(kernel)]  # fmt: skip
    inverse = solved(system, [[float(i == j) for j in range(n)] for i in range(n)])
    center = mean_of(outputs)
    duals = [
        [math.fsum(inverse[i][j] * (outputs[j][o] - c) for j in range(n))
         for o, c in enumerate(center)]
        for i in range(n)
    ]  # fmt: skip
    return [[x - dual / inverse[i][i] for x, dual in zip(outputs[i], duals[i])] for i in range(n)]
