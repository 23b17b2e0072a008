"""naive.py against numbers worked out by hand, and against figures of the literature."""

import math
import random

import pytest
from sklearn.datasets import load_iris  # type: ignore[import-untyped]

import naive
from naive import METHODS, Cell

NUMBERS2 = [False, False]


def iris() -> tuple[list[list[float]], list[int]]:
    data = load_iris()
    return data.data.tolist(), data.target.tolist()


# --- scaling ----------------------------------------------------------------------------------


def test_scale() -> None:
    table: list[list[Cell]] = [[2.0, 7.0, 3], [None, 7.0, 0], [6.0, None, None], [3.0, 7.0, 1]]
    scaled, lows, ranges = naive.scale(table, [False, False, True])
    assert scaled == [[0.0, 0.0, 3], [None, 0.0, 0], [1.0, None, None], [0.25, 0.0, 1]]
    assert lows == [2.0, 7.0, 0.0]
    assert ranges == [4.0, 1.0, 1.0]


@pytest.mark.parametrize("codes", [False, True])
def test_scale_refuses_a_column_without_values(codes: bool) -> None:
    with pytest.raises(ValueError, match="column 1 has no observed value"):
        naive.scale([[1.0, None], [2.0, None]], [False, codes])


# --- mutual information -----------------------------------------------------------------------


def test_plug_in_information_of_a_two_by_two_table() -> None:
    """Counts 3 1 / 1 3: I = 3/4 log2(3/2) - 1/4."""
    x, y = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0]
    assert naive.class_information(x, y, True) == pytest.approx(0.188721875540867)
    assert naive.feature_information(x, y, True, True) == pytest.approx(0.188721875540867)
    assert naive.class_information(x, x, True) == pytest.approx(1.0)
    # H(Y) = 1, H(Y|X) = 3/4 (log2 3 - 2/3) = 0.688722
    x, y = [0, 0, 0, 1], [0, 0, 1, 1]
    assert naive.class_information(x, y, True) == pytest.approx(0.311278, abs=1e-6)
    assert naive.class_information([0, 1, 0, 1], [0, 0, 1, 1], True) == 0.0


def test_information_uses_labelled_rows_with_the_value() -> None:
    x = [0, 0, 0, 0, 1, 1, 1, 1, None, 0, 1]
    y = [0, 0, 0, 1, 1, 1, 1, 0, 1, None, None]
    assert naive.class_information(x, y, True) == pytest.approx(0.188721875540867)
    z = [0.0, 1.0, None, 5.0]
    assert naive.class_information(z, [0, 1, 1, None], False) == pytest.approx(0.040457, abs=1e-5)


def test_parzen_information_of_two_points() -> None:
    """N = 2: h = 1/ln 2, s^2 = 1/2, so phi(1)/phi(0) = exp(-(ln 2)^2) = a = 0.618503.

    Each point has posterior 1/(1+a) = 0.617855 for its own class: H(Y|X) = 0.959543.
    Between features the ratio of densities is 2 (1 + a^2) / (1 + a)^2 = 1.055559.
    """
    x = [0.0, 1.0]
    assert naive.class_information(x, [0, 1], False) == pytest.approx(0.040457, abs=1e-5)
    assert naive.class_information([3.0, 7.0], [0, 1], False) == pytest.approx(0.040457, abs=1e-5)
    assert naive.feature_information(x, [0, 1], False, True) == pytest.approx(0.040457, abs=1e-5)
    assert naive.feature_information([1, 0], x, True, False) == pytest.approx(0.040457, abs=1e-5)
    both = naive.feature_information(x, [9.0, 4.0], False, False)
    assert both == pytest.approx(math.log2(1.055559), abs=1e-5)


def test_no_information() -> None:
    assert naive.class_information([0.5], [0], False) == 0.0
    assert naive.class_information([None, None], [0, 1], True) == 0.0
    assert naive.class_information([0.3, 0.3, 0.3], [0, 1, 1], False) == 0.0
    assert naive.class_information([0.1, 0.2, 0.9], [2, 2, 2], False) == 0.0
    assert naive.class_information([0.1, 0.2, 0.9], None, False) == 0.0
    assert naive.feature_information([0.1, None, 0.9], [0.2, 0.3, None], False, False) == 0.0
    assert naive.feature_information([0.1, 0.4, 0.9], [0.3, 0.3, 0.3], False, False) == 0.0


def test_parzen_information_of_iris() -> None:
    table, labels = iris()
    scaled, _, _ = naive.scale(table, [False] * 4)
    found = [naive.class_information([r[p] for r in scaled], labels, False) for p in range(4)]
    assert found == pytest.approx([0.681, 0.386, 1.264, 1.343], abs=0.002)
    weights = naive.class_weights(scaled, labels, [False] * 4)
    assert weights == pytest.approx([0.185, 0.105, 0.344, 0.365], abs=0.001)


# --- weights ----------------------------------------------------------------------------------


def test_uniform_weights() -> None:
    assert naive.uniform_weights(4, "grey") == [0.25] * 4
    assert naive.uniform_weights(4, "heom") == [1.0] * 4


def test_class_weights() -> None:
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    table = [[a, b, i % 2] for i, (a, b) in enumerate(zip(labels, [0, 0, 0, 1, 1, 1, 1, 0]))]
    expected = [1 / 1.188721875540867, 0.188721875540867 / 1.188721875540867, 0.0]
    assert naive.class_weights(table, labels, [True] * 3) == pytest.approx(expected)
    third = pytest.approx([1 / 3] * 3)
    assert naive.class_weights(table, None, [True] * 3) == third
    assert naive.class_weights(table, [0] * 8, [True] * 3) == third


def test_feature_weights() -> None:
    """Two equal columns, and one independent of both."""
    table = [[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]]
    weights = naive.feature_weights(table, [True] * 3)
    assert weights == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    assert naive.feature_weights([[0.0], [1.0]], [False]) == [[0.0]]


def test_feature_weights_are_normalised_for_each_target() -> None:
    """Information 1 between columns 0 and 1, 0.1887 between 2 and either of them."""
    a, c = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0]
    weights = naive.feature_weights([[x, x, z] for x, z in zip(a, c)], [True] * 3)
    most, least = 1 / 1.188721875540867, 0.188721875540867 / 1.188721875540867
    assert weights[0] == pytest.approx([0.0, most, least])
    assert weights[1] == pytest.approx([most, 0.0, least])
    assert weights[2] == pytest.approx([0.5, 0.5, 0.0])


# --- grey relational coefficients, grades, distances ------------------------------------------

# Differences to row 0: 0.2 0.1 | 0.8 0.4, so Dmin = 0.1, Dmax = 0.8, rho Dmax = 0.4.
THREE = [[0.2, 0.5], [0.4, 0.6], [1.0, 0.9]]


def test_grey_coefficients_of_three_rows() -> None:
    found = naive.extremes(THREE[0], THREE[1:], NUMBERS2)
    assert found == pytest.approx((0.1, 0.8))
    first, second = naive.grey_coefficients(THREE[0], THREE[1:], NUMBERS2, 0.5)
    assert first == pytest.approx([0.5 / 0.6, 1.0])
    assert second == pytest.approx([0.5 / 1.2, 0.5 / 0.8])
    assert naive.grey_grade(first, [0.5, 0.5]) == pytest.approx(11 / 12)
    assert naive.grey_grade(second, [0.5, 0.5]) == pytest.approx(25 / 48)
    assert naive.grey_grade(second, [0.2, 0.8]) == pytest.approx(0.2 * 5 / 12 + 0.8 * 5 / 8)
    totals = naive.totals(THREE[0], THREE[1:], NUMBERS2, [0.5, 0.5], "grey", 0.5)
    assert totals == pytest.approx([1 / 12, 23 / 48])


def test_the_grade_is_not_symmetric() -> None:
    """Seen from row 1: differences 0.2 0.1 | 0.6 0.3, Dmin = 0.1, rho Dmax = 0.3."""
    others = [THREE[0], THREE[2]]
    found = naive.grey_coefficients(THREE[1], others, NUMBERS2, 0.5)[0]
    assert found == pytest.approx([0.8, 1.0])


def test_rho() -> None:
    """Rho = 1: (0.1 + 0.8) / (0.2 + 0.8)."""
    found = naive.grey_coefficients(THREE[0], THREE[1:], NUMBERS2, 1.0)
    assert found[0] == pytest.approx([0.9, 1.0])


def test_categories_and_gaps_take_no_part_in_the_extremes() -> None:
    """Pairs observed in both: only 0.2 and 0.6 in column 0, so rho Dmax = 0.3."""
    kinds = [False, False, True, True]
    query: list[Cell] = [0.2, 0.9, 5, 1]
    donors: list[list[Cell]] = [[0.4, None, 5, 2], [0.8, None, None, 1], [None, None, 5, 0]]
    assert naive.extremes(query, donors, kinds) == pytest.approx((0.2, 0.6))
    first, second, third = naive.grey_coefficients(query, donors, kinds, 0.5)
    assert first == pytest.approx([0.5 / 0.5, 0.0, 1.0, 0.0])
    assert second == pytest.approx([0.5 / 0.9, 0.0, 0.0, 1.0])
    assert third == [0.0, 0.0, 1.0, 0.0]


def test_no_extremes() -> None:
    assert naive.extremes([None, 1], [[0.5, 1], [0.2, 0]], [False, True]) is None
    assert naive.extremes([0.5], [], [False]) is None
    found = naive.grey_coefficients([None, 1], [[0.5, 1], [0.2, 0]], [False, True], 0.5)
    assert found == [[0.0, 1.0], [0.0, 0.0]]


def test_largest_difference_zero() -> None:
    found = naive.grey_coefficients([0.3, 0.7], [[0.3, None], [0.3, 0.7]], NUMBERS2, 0.5)
    assert found == [[1.0, 0.0], [1.0, 1.0]]


def test_identical_rows_have_distance_zero() -> None:
    donors = [[0.1, 0.7, 2], [0.9, 0.2, 0]]
    for metric in ("grey", "heom"):
        found = naive.totals(donors[0], donors, [False, False, True], [0.3, 0.3, 0.4], metric, 0.5)
        assert found[0] == 0.0
        assert found[1] > 0.0


def test_heom() -> None:
    """0.3^2 + 1 (gap) + 1 (other category) + 0, a number out of range counts 1."""
    kinds = [False, False, True, False]
    query: list[Cell] = [0.2, None, 0, 0.5]
    donors: list[list[Cell]] = [[0.5, 0.3, 1, 0.5], [1.7, None, 0, None]]
    found = naive.totals(query, donors, kinds, [1.0] * 4, "heom", 0.5)
    assert found == pytest.approx([2.09, 3.0])
    found = naive.totals(query, donors, kinds, [0.1, 0.2, 0.3, 0.4], "heom", 0.5)
    assert found == pytest.approx([0.009 + 0.2 + 0.3, 0.1 + 0.2 + 0.4])
    nearest = naive.neighbours(query, donors, [4, 9], kinds, [1.0] * 4, "heom", 0.5, 2)
    assert nearest is not None
    assert [row for _, row in nearest] == [4, 9]
    assert [d for d, _ in nearest] == pytest.approx([math.sqrt(2.09), math.sqrt(3.0)])


def test_ties_go_to_the_lower_row() -> None:
    donors = [[0.6], [0.2], [0.4], [0.2]]
    nearest = naive.neighbours([0.2], donors, [8, 7, 5, 3], [False], [1.0], "grey", 0.5, 3)
    assert nearest is not None
    assert [row for _, row in nearest] == [3, 7, 5]
    nearest = naive.neighbours([0.3], donors, [8, 7, 5, 3], [True], [1.0], "heom", 0.5, 2)
    assert nearest == [(1.0, 3), (1.0, 5)]


def test_a_query_without_an_observed_weight_has_no_ranking() -> None:
    donors = [[0.1, 0.2], [0.3, 0.4]]
    for weights in ([0.0, 1.0], [0.0, 0.0]):
        found = naive.neighbours([0.1, None], donors, [0, 1], NUMBERS2, weights, "grey", 0.5, 1)
        assert found is None
    found = naive.neighbours([0.1, None], donors, [0, 1], NUMBERS2, [0.5, 0.5], "grey", 0.5, 9)
    assert found == [(0.5, 0), (pytest.approx(1 - 0.5 * 0.1 / 0.3), 1)]


# --- filling ----------------------------------------------------------------------------------


def test_fill_number() -> None:
    """Weights 1/0.25 and 1/1: (4*1 + 1*4) / 5."""
    assert naive.fill_number([1.0, 4.0], [0.5, 1.0], "weighted") == pytest.approx(1.6)
    assert naive.fill_number([1.0, 4.0], [0.5, 1.0], "plain") == 2.5
    assert naive.fill_number([1.0, 3.0, 9.0], [0.0, 0.0, 0.5], "weighted") == 2.0
    assert naive.fill_number([1.0, 3.0, 8.0], [0.0, 0.0, 0.5], "plain") == 4.0


def test_fill_category_by_dudani_weights() -> None:
    """Distances 1 1.5 2 3: weights 1 0.75 0.5 0; with 1/D^2 code 2 would win."""
    assert naive.fill_category([2, 0, 0, 2], [1.0, 1.5, 2.0, 3.0], "weighted") == 0
    assert naive.fill_category([1, 0, 0], [1.0, 2.0, 3.0], "weighted") == 1
    assert naive.fill_category([1, 0, 0], [1.0, 2.0, 3.0], "plain") == 0
    assert naive.fill_category([1, 0, 0], [2.0, 2.0, 2.0], "weighted") == 0
    assert naive.fill_category([1, 0, 0], [0.0, 0.0, 0.0], "weighted") == 0
    assert naive.fill_category([1, 0, 0], [1.0, 1.0 + 1e-13, 1.0 + 1e-13], "weighted") == 0
    assert naive.fill_category([4], [0.5], "weighted") == 4


def test_fill_category_ties_go_to_the_smallest_code() -> None:
    """Distances 1 2 2 3: weights 1 0.5 0.5 0, scores 1 and 1."""
    assert naive.fill_category([3, 1, 1, 0], [1.0, 2.0, 2.0, 3.0], "weighted") == 1
    assert naive.fill_category([3, 1], [0.5, 0.5], "weighted") == 1
    assert naive.fill_category([3, 1], [0.5, 0.6], "plain") == 1


def test_starting_fill() -> None:
    table: list[list[Cell]] = [
        [1.0, None, 2],
        [None, None, None],
        [3.0, None, 1],
        [None, 6.0, 1],
        [9.0, 2.0, None],
        [5.0, 7.0, None],
        [None, None, None],
    ]
    labels = [0, 0, 0, 1, 1, None, None]
    kinds = [False, False, True]
    filled = naive.starting_fill(table, labels, kinds, True)
    assert filled == [
        [1.0, 5.0, 2],  # column 1: nobody of class 0 has it, so all rows, with or without label
        [2.0, 5.0, 1],  # column 2: 2 and 1 tie
        [3.0, 5.0, 1],
        [9.0, 6.0, 1],
        [9.0, 2.0, 1],
        [5.0, 7.0, 1],
        [4.5, 5.0, 1],  # no label: all rows
    ]
    filled = naive.starting_fill(table, labels, kinds, False)
    assert filled[1] == [4.5, 5.0, 1]
    assert naive.starting_fill(table, None, kinds, True) == filled


# --- the loop ---------------------------------------------------------------------------------


def test_methods() -> None:
    rows = {name: tuple(method.values()) for name, method in METHODS.items()}
    assert rows == {
        "iknn": ("heom", "none", False, "weighted"),
        "miknn": ("heom", "class", False, "weighted"),
        "gknn": ("grey", "none", True, "plain"),
        "fwgknn": ("grey", "feature", True, "weighted"),
        "cgknn": ("grey", "class", True, "weighted"),
    }


@pytest.mark.parametrize("name", METHODS)
def test_nothing_missing(name: str) -> None:
    table, labels = [[1.0, 2.0], [0.3, 0.1], [0.7, 9.0]], [0, 1, 0]
    found = naive.impute(table, labels, NUMBERS2, **METHODS[name], k=2)
    assert found.filled == table
    assert (found.n_iter, found.convergence, found.converged) == (1, [0.0], True)


def test_stop_rule() -> None:
    """Start 0.5 0.5 and category 0; the nearest rows have 0, 1 and category 2.

    delta_1 = sqrt((0.25 + 0.25 + 1) / 3); then nothing changes.
    """
    kinds = [False, False, True]
    table: list[list[Cell]] = [
        [0.0, 10.0, 0],
        [4.0, 30.0, 2],
        [0.0, None, 0],
        [4.0, None, 2],
        [4.0, 30.0, None],
        [0.0, 10.0, 0],
    ]
    method = METHODS["iknn"]
    found = naive.impute(table, None, kinds, **method, k=1)
    assert found.starting[2:5] == [[0.0, 0.5, 0], [1.0, 0.5, 2], [1.0, 1.0, 0]]
    assert found.filled[2:5] == [[0.0, 10.0, 0], [4.0, 30.0, 2], [4.0, 30.0, 2]]
    assert found.convergence == pytest.approx([math.sqrt(0.5), 0.0])
    assert (found.n_iter, found.converged) == (2, True)
    cut = naive.impute(table, None, kinds, **method, k=1, max_iter=1)
    assert (cut.n_iter, cut.converged) == (1, False)
    early = naive.impute(table, None, kinds, **method, k=1, tol=found.convergence[0])
    assert (early.n_iter, early.converged) == (1, True)


def test_jacobi_iterations_of_the_joint_fill() -> None:
    """Rows 0 and 1 fill from each other and from row 2 (value 1): x <- (y + 1) / 2, start 0.5.

    Each iteration halves the way to 1, and both read the values of the iteration before.
    """
    table: list[list[Cell]] = [[0.0, None], [0.0, None], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]
    table += [[0.5, 1.0]]
    labels = [0, 0, 0, 1, 1, 1]
    method = naive.Method(metric="heom", weights="none", partition=False, average="plain")
    found = naive.impute(table, labels, NUMBERS2, **method, k=2, tol=0.01)
    expected = [0.25 / 2**t for t in range(6)]
    assert found.starting[0][1] == found.starting[1][1] == 0.5
    assert found.convergence == pytest.approx(expected)  # the sixth, 0.0078, is below 0.01
    assert found.filled[0][1] == found.filled[1][1] == pytest.approx(1 - 0.5 / 2**6)
    assert found.converged


def test_a_cycle_stops_and_does_not_converge() -> None:
    """Two rows that only see each other swap their values for ever."""
    table: list[list[Cell]] = [[0.0, None], [0.0, None], [1.0, 0.0], [1.0, 1.0]]
    start = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    rules = naive._Rules(NUMBERS2, [[1.0] * 2] * 2, "heom", "plain", 1, "observed", "all", 0.5)
    filled, convergence, converged = naive._iterate(
        table, start, {0: [1, 2, 3], 1: [0, 2, 3]}, rules, 1e-3, 20
    )
    assert filled == start
    assert convergence == [1.0, 1.0]
    assert not converged


def test_observed_cells_come_back_unchanged() -> None:
    rng = random.Random(3)
    kinds = [False, True, False]
    full = [[rng.gauss(1e6, 0.1), rng.randrange(3), rng.uniform(-1, 1)] for _ in range(20)]
    table = [[None if rng.random() < 0.2 else x for x in row] for row in full]
    labels = [rng.choice([0, 1, None]) for _ in table]
    for method in METHODS.values():
        found = naive.impute(table, labels, kinds, **method, k=3)
        for row, new in zip(table, found.filled):
            assert all(x is None or x == y for x, y in zip(row, new))


def test_a_class_of_one_row_keeps_the_global_fill() -> None:
    table: list[list[Cell]] = [[0.0, 2.0], [1.0, 6.0], [0.1, None], [0.2, 7.0]]
    found = naive.impute(table, [0, 0, 1, 0], NUMBERS2, **METHODS["cgknn"], k=2)
    assert found.filled[2] == [0.1, pytest.approx(5.0)]


def test_a_row_with_nothing_observed_keeps_the_class_fill() -> None:
    table: list[list[Cell]] = [[0.0, 2.0], [1.0, 6.0], [None, None], [9.0, 9.0], [8.0, 9.0]]
    found = naive.impute(table, [0, 0, 0, 1, 1], NUMBERS2, **METHODS["gknn"], k=1)
    assert found.filled[2] == [pytest.approx(0.5), pytest.approx(4.0)]


def test_the_partition_limits_donors_and_extremes() -> None:
    """Row 3 of class 1 is nearest, but rows 1 and 2 are row 0's donors: Dmin 0.1, Dmax 0.3.

    Grades in column 0: 1 and 0.25/0.45; D = 1/2 and 1 - 0.5 * 5/9 = 13/18 with lambda 1/2.
    """
    table: list[list[Cell]] = [[0.0, None], [0.1, 0.0], [0.3, 1.0], [0.0, 0.5], [1.0, 0.5]]
    labels = [0, 0, 0, 1, 1]
    method = naive.Method(metric="grey", weights="none", partition=True, average="weighted")
    found = naive.impute(table, labels, NUMBERS2, **method, k=5)
    near, far = (1 / 2) ** -2, (13 / 18) ** -2
    assert found.filled[0][1] == pytest.approx(far / (near + far))
    method["partition"] = False
    found = naive.impute(table, labels, NUMBERS2, **method, k=1)
    assert found.filled[0][1] == 0.5


def test_given_weights_replace_the_computed_ones() -> None:
    """Row 0 equals row 1 in column 0 and row 2 in column 1."""
    table: list[list[Cell]] = [[0.0, 0.0, None], [0.0, 1.0, 3.0], [1.0, 0.0, 5.0]]
    kinds = [False] * 3
    method = METHODS["cgknn"]
    found = naive.impute(table, None, kinds, **method, k=1, lambdas=[0.9, 0.1, 0.0])
    assert found.filled[0][2] == 3.0
    assert found.weights == [0.9, 0.1, 0.0]
    found = naive.impute(table, None, kinds, **method, k=1, lambdas=[0.1, 0.9, 0.0])
    assert found.filled[0][2] == 5.0
    matrix = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.2, 0.8, 0.0]]
    found = naive.impute(table, None, kinds, **METHODS["fwgknn"], k=1, lambdas=matrix)
    assert found.filled[0][2] == 5.0
    assert found.weights == matrix


def test_feature_weights_rank_for_each_target() -> None:
    """Column 2 follows column 0 and column 3 follows column 1: row 0 gets one value from each."""
    follow: list[list[Cell]] = [[0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1]]
    table: list[list[Cell]] = [[0, 1, None, None], *follow, *follow]
    found = naive.impute(table, None, [True] * 4, **METHODS["fwgknn"], k=2)
    assert found.weights[2:] == [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    assert found.filled[0] == [0, 1, 0, 1]


def test_distances_on_imputed_values() -> None:
    """The gap of row 0 starts at 0.5: by its own guess row 2 is nearer than row 1."""
    table: list[list[Cell]] = [[0.0, None], [0.2, 1.0], [0.3, 0.5], [1.0, 0.0]]
    found = naive.impute(table, None, NUMBERS2, **METHODS["iknn"], k=1)
    assert found.filled[0][1] == 1.0
    found = naive.impute(table, None, NUMBERS2, **METHODS["iknn"], k=1, metric_on="imputed")
    assert found.filled[0][1] == 0.5
    assert found.convergence == [0.0]


def test_distances_on_imputed_values_rank_anew() -> None:
    """Squared distances of rows 1 and 2 (values 0.6 and 0.9) from row 0, by its guess:

    0.5: 0.1325 0.17, so row 1; 0.6: 0.1225 0.10, so row 2; 0.9: 0.2125 0.01, row 2 again.
    """
    table: list[list[Cell]] = [[0.0, None], [0.35, 0.6], [0.1, 0.9], [1.0, 0.0], [1.0, 0.0]]
    table += [[1.0, 1.0]]
    found = naive.impute(table, None, NUMBERS2, **METHODS["iknn"], k=1, metric_on="imputed")
    assert found.filled[0][1] == 0.9
    assert found.convergence == pytest.approx([0.1, 0.3, 0.0])
    found = naive.impute(table, None, NUMBERS2, **METHODS["iknn"], k=1)
    assert found.convergence == pytest.approx([0.4, 0.0])


def test_observed_donors_only() -> None:
    """Row 1 is nearest to row 0, but its own value is a guess: the mean 0.5."""
    table: list[list[Cell]] = [[0.0, None], [0.0, None], [0.2, 0.0], [1.0, 1.0]]
    method = METHODS["iknn"]
    found = naive.impute(table, None, NUMBERS2, **method, k=1)
    assert found.filled[0][1] == 0.5
    found = naive.impute(table, None, NUMBERS2, **method, k=1, donors="observed")
    assert found.filled[0][1] == 0.0


def test_observed_donors_are_the_comparison_set() -> None:
    """Without row 1: Dmin 0.2, Dmax 1, so D = 1 - 0.7/0.7/2 and 1 - 0.7/1.5/2 (lambda 1/2)."""
    table: list[list[Cell]] = [[0.0, None], [0.0, None], [0.2, 0.0], [1.0, 1.0]]
    method = naive.Method(metric="grey", weights="none", partition=True, average="weighted")
    found = naive.impute(table, None, NUMBERS2, **method, k=5, donors="observed")
    near, far = 0.5**-2, (1 - 0.7 / 3.0) ** -2
    assert found.filled[0][1] == pytest.approx(far / (near + far))


def test_unlabelled_rows_with_a_partition() -> None:
    """They give nothing to labelled rows, and take from the labelled rows of all classes."""
    table: list[list[Cell]] = [
        [0.0, None],  # labelled: nearest would be row 1, but it has no label
        [0.0, 100.0],
        [0.2, 0.0],
        [0.9, 60.0],
        [0.89, None],  # unlabelled: nearest is row 5, without label; of the labelled ones row 3
        [0.89, 90.0],
        [1.0, 80.0],
    ]
    labels = [0, None, 0, 1, None, None, 1]
    method = METHODS["gknn"]
    found = naive.impute(table, labels, NUMBERS2, **method, k=1)
    assert found.filled[0][1] == 0.0
    assert found.filled[4][1] == pytest.approx(60.0)
    assert found.starting[4][1] == pytest.approx(66.0 / 100)
    assert found.convergence == [0.0]  # the joint iteration: row 0 starts at 0, its class mean
    found = naive.impute(table, labels, NUMBERS2, **METHODS["iknn"], k=1)
    assert found.filled[0][1] == 100.0
    assert found.filled[4][1] == pytest.approx(90.0)


def test_transform() -> None:
    """A row without label takes from all training rows, whatever their class or gaps."""
    table: list[list[Cell]] = [[0.0, 10.0], [2.0, 20.0], [3.0, None], [10.0, 30.0], [4.0, 50.0]]
    labels = [0, 0, 1, 1, 1]
    method = METHODS["gknn"]
    imputed = naive.impute(table, labels, NUMBERS2, **method, k=1)
    assert imputed.filled[2][1] == 50.0
    rows: list[list[Cell]] = [[2.9, None], [2.1, None], [None, None], [-3.3, 77.7], [99.0, None]]
    found = naive.transform(imputed, table, labels, NUMBERS2, rows, **method, k=1)
    assert found == [[2.9, 50.0], [2.1, 20.0], [3.8, 27.5], [-3.3, 77.7], [99.0, 30.0]]
    for row, expected in zip(rows, found):
        alone = naive.transform(imputed, table, labels, NUMBERS2, [row], **method, k=1)
        assert alone == [expected]
    found = naive.transform(
        imputed, table, labels, NUMBERS2, rows[:1], **method, k=1, donors="observed"
    )
    assert found == [[2.9, 20.0]]


def test_transform_on_imputed_values() -> None:
    """The new gap starts at the mean 0.5; row 2, there 0.5 by its own fill, is nearest."""
    table: list[list[Cell]] = [[0.0, 1.0], [1.0, 0.0], [0.3, None], [0.2, 0.5]]
    method = METHODS["iknn"]
    imputed = naive.impute(table, None, NUMBERS2, **method, k=1, metric_on="imputed")
    assert imputed.filled[2][1] == 0.5
    for rows, expected in (([[0.3, None]], 0.5), ([[0.0, None]], 0.5)):
        found = naive.transform(
            imputed, table, None, NUMBERS2, rows, **method, k=1, metric_on="imputed"
        )
        assert found[0][1] == expected
    found = naive.transform(imputed, table, None, NUMBERS2, [[0.0, None]], **method, k=1)
    assert found[0][1] == 1.0


# --- choice of k ------------------------------------------------------------------------------


def test_choose_k_by_cross_validation() -> None:
    """Two donors of each class: k = 1, 2, 3 are right, k = 4 ties, and class 0 wins.

    The last row has no ranking and is not scored; as a donor it is the farthest.
    """
    table: list[list[Cell]] = [[0.0], [0.1], [0.2], [0.8], [0.9], [1.0], [0.5], [None]]
    labels = [0, 0, 0, 1, 1, 1, None, 1]
    folds = [0, 1, 2, 0, 1, 2, 0, 2]
    for name in METHODS:
        k, errors = naive.choose_k_cv(table, labels, [False], folds, **METHODS[name])
        assert sorted(errors) == [1, 2, 3, 4]
        assert [errors[k] for k in (1, 2, 3)] == [0.0, 0.0, 0.0]
        assert errors[4] == 3 / 6
        assert k == 3


def test_donors_of_a_query_come_from_the_other_folds() -> None:
    """Nearest of the other fold: 0.4 0.4 0.1 0.1, so rows 1 and 2 are wrong; k = 2 always ties."""
    table = [[0.0], [0.1], [0.4], [0.5]]
    labels, folds = [0, 1, 0, 1], [0, 0, 1, 1]
    for method in METHODS.values():
        found = naive.choose_k_cv(table, labels, [False], folds, **method, lambdas=[1.0])
        assert found == (2, {1: 0.5, 2: 0.5})


def test_cross_validation_does_not_see_the_class_means() -> None:
    """Column 1 is noise, but its class means tell the label of the gaps."""
    table: list[list[Cell]] = [[0.5, None], [0.5, None], [0.5, 0.0], [0.5, None], [0.5, 1.0]]
    table += [[0.5, None]]
    labels = [0, 0, 0, 1, 1, 1]
    folds = [0, 1, 2, 0, 1, 2]
    method = METHODS["gknn"]
    _, observed = naive.choose_k_cv(table, labels, NUMBERS2, folds, **method)
    _, imputed = naive.choose_k_cv(table, labels, NUMBERS2, folds, **method, metric_on="imputed")
    assert imputed[1] == 0.0
    assert observed[1] > 0.0


def test_cross_validation_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="choose_k_masked"):
        naive.choose_k_cv([[0.0], [1.0]], None, [False], [0, 1], **METHODS["cgknn"])


# Column 0 orders the donors of row 0 as 1, 2, 3; their values 0, 1, 0.25 against the true 0.5.
MASKED: list[list[Cell]] = [[0.0, 0.5], [0.1, 0.0], [0.4, 1.0], [1.0, 0.25]]
PLAIN = naive.Method(metric="heom", weights="none", partition=False, average="plain")


def test_choose_k_by_masked_cells() -> None:
    """Fills 0, 1/2, 5/12 for k = 1, 2, 3."""
    k, errors = naive.choose_k_masked(MASKED, None, NUMBERS2, [[(0, 1)]], **PLAIN)
    assert errors == pytest.approx({1: 0.25, 2: 0.0, 3: 1 / 144})
    assert k == 2


def test_masked_cells_of_several_folds() -> None:
    """Fold 2 masks row 2 (true 1; donors 1 0 3 4, values 0 1/2 1/4 and the mean 1/4).

    It also masks all there is of row 4, which has no ranking then and is not scored.
    """
    table: list[list[Cell]] = [*MASKED, [None, 0.9]]
    masks = [[(0, 1)], [(2, 1), (4, 1)]]
    k, errors = naive.choose_k_masked(table, None, NUMBERS2, masks, **PLAIN)
    first, second = [0.25, 0.0, 1 / 144, 0.0375**2], [1.0, 0.75**2, 0.75**2, 0.75**2]
    expected = {k: (first[k - 1] + second[k - 1]) / 2 for k in (1, 2, 3, 4)}
    assert errors == pytest.approx(expected)
    assert k == 2


def test_masked_cells_of_a_method_with_a_partition() -> None:
    """Row 0 has one donor, row 3 of its class: 0.25 against 0.5. Row 4 has no label."""
    table: list[list[Cell]] = [*MASKED, [0.0, 0.5]]
    masks = [[(0, 1)], [(4, 1)]]
    method = METHODS["gknn"]
    k, errors = naive.choose_k_masked(table, [0, 1, 1, 0, None], NUMBERS2, masks, **method)
    assert (k, errors) == (1, {1: 0.0625})
    with pytest.raises(ValueError, match="nothing could be scored"):
        naive.choose_k_masked(table, [0, 1, 1, 0, None], NUMBERS2, masks[1:], **method)
    with pytest.raises(ValueError, match="not an observed one"):
        naive.choose_k_masked([[0.0, None], [1.0, 1.0]], None, NUMBERS2, masks, **PLAIN)


def test_masked_donors_give_the_starting_fill() -> None:
    """Rows 0 and 1 masked together: row 1 gives row 0 the mean of 1 and 0.25."""
    masks = [[(0, 1), (1, 1)]]
    _, errors = naive.choose_k_masked(MASKED, None, NUMBERS2, masks, **PLAIN)
    assert errors[1] == pytest.approx(((0.625 - 0.5) ** 2 + 0.625**2) / 2)
    _, errors = naive.choose_k_masked(MASKED, None, NUMBERS2, masks, **PLAIN, donors="observed")
    assert errors == pytest.approx({1: (0.5**2 + 1.0) / 2, 2: (0.125**2 + 0.625**2) / 2})


def test_masked_categories_and_ties() -> None:
    """Code 1 from every donor: no error for any k, and the largest k is taken."""
    table: list[list[Cell]] = [[0.0, 1], [0.1, 1], [0.4, 1], [1.0, 1]]
    k, errors = naive.choose_k_masked(table, None, [False, True], [[(0, 1)]], **PLAIN)
    assert errors == {1: 0.0, 2: 0.0, 3: 0.0}
    assert k == 3
    table[0][1] = 4
    _, errors = naive.choose_k_masked(table, None, [False, True], [[(0, 1)]], **PLAIN)
    assert errors == {1: 1.0, 2: 1.0, 3: 1.0}


# --- the published setting ----------------------------------------------------------------------


def test_iris_error_of_gknn() -> None:
    """10 % of the cells removed, k = 10: 0.0945 +- 0.011 over ten repeats in SPEC 4.1."""
    full, labels = iris()
    kinds = [False] * 4
    _, _, ranges = naive.scale(full, kinds)
    errors = []
    for seed in range(2):
        cells = random.Random(seed).sample([(i, p) for i in range(150) for p in range(4)], 60)
        table = [
            [None if (i, p) in cells else x for p, x in enumerate(row)]
            for i, row in enumerate(full)
        ]
        found = naive.impute(table, labels, kinds, **METHODS["gknn"], k=10)
        assert found.converged
        squares = [((found.filled[i][p] - full[i][p]) / ranges[p]) ** 2 for i, p in cells]
        errors.append(math.sqrt(math.fsum(squares) / 60))
    assert 0.07 < math.fsum(errors) / 2 < 0.12
