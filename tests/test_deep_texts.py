"""Texts against loops in pure Python, scikit-learn's ridge regression, and what must not leak."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.special import softmax  # noqa: E402
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: E402
from sklearn.pipeline import make_union  # noqa: E402

from greyknn.deep.grams import BUCKETS, grams, grams_of  # noqa: E402
from greyknn.deep.grey import Grey  # noqa: E402
from greyknn.deep.layout import Layout  # noqa: E402
from greyknn.deep.network import Grams  # noqa: E402
from greyknn.deep.texts import (  # noqa: E402
    FOLDS,
    SHARPNESS,
    Vocabulary,
    _sharpest,
    fit_text,
    ridge,
    text_donors,
)


def naive(words: list[str], buckets: int) -> tuple[set[int], set[int]]:
    """Hashes of words, and of all n-grams, of a text that is given as its words."""

    def hashed(key: str) -> int:
        return crc32(key.encode()) % (buckets - 1) + 1

    first = {hashed("=" + word) for word in words}
    every = set(first)
    for i in range(len(words) - 1):
        every.add(hashed("=" + words[i] + " " + words[i + 1]))
    for word in words:
        padded = " " + word + " "
        for begin in range(len(padded)):
            for end in range(len(padded) + 1):
                if 3 <= end - begin <= 5:
                    every.add(hashed(padded[begin:end]))
    return first, every


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ("Red shirt, XL", ["red", "shirt", ",", "xl"]),
        ("a", ["a"]),
        ("ÉTÉ  été\n2024", ["été", "été", "2024"]),
        ("e\u0301te\u0301", ["été"]),  # accents of their own
        ("C++ 50%", ["c", "++", "50", "%"]),
        ("日本語 🙂", ["日本語", "🙂"]),
        ("", []),
        ("  ", []),
        (None, []),
    ],
)
def test_grams_are_those_of_a_loop(string: str | None, words: list[str]) -> None:
    row = grams([string], 10_000, 60)[0]
    _, every = naive(words, 10_000)
    assert row.shape == (60,)
    assert set(row[: len(every)].tolist()) == every
    assert not row[len(every) :].any()


def test_accents_count() -> None:
    found = grams(["pêche", "peche"], 10_000, 60)
    assert set(found[0].tolist()) != set(found[1].tolist())


def test_grams_keep_words_of_long_texts_and_an_even_choice_of_the_rest() -> None:
    words = [f"word{i}" for i in range(30)]
    first, every = naive(words, 2**18)
    row = grams([" ".join(words)], 2**18, 60)[0].tolist()
    assert set(row[:30]) == first
    assert len(set(row)) == 60
    assert set(row) <= every
    # The last word's characters have a part, too.
    last = naive(["word29"], 2**18)[1] - naive(words[:29], 2**18)[1] - first
    half = naive(words[15:], 2**18)[1] - naive(words[:15], 2**18)[1] - first
    assert set(row) & half
    assert len(last) > 0
    few = grams([" ".join(words)], 2**18, 8)[0].tolist()
    assert len(set(few)) == 8
    assert set(few) <= first


def test_grams_fit_their_buckets_and_are_distinct() -> None:
    found = grams(["one two three four five six"] * 2, 7, 20)
    used = found[0][found[0] > 0]
    assert found.max() <= 6
    assert len(np.unique(used)) == len(used)
    np.testing.assert_array_equal(found[0], found[1])


def test_grams_are_the_same_in_every_process() -> None:
    # hash() is salted, so that a literal does not outlive a process that used it.
    assert grams(["Ab é"], 1000, 8).tolist() == [[40, 154, 340, 557, 158, 527, 772, 0]]


def test_grams_of_is_as_wide_as_the_longest_text() -> None:
    texts = grams_of([["ab", None], [None, "abc de"]])
    width = len(naive(["abc", "de"], BUCKETS)[1])
    assert texts.shape == (2, 2, width)
    assert not texts[1, 0].any()
    assert grams_of([[None]]).shape == (1, 1, 1)


def titles(n_rows: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Titles, and a table of a number and a category that they tell, and noise."""
    rng = np.random.default_rng(seed)
    things = ["lamp", "chair", "table", "kettle", "carpet", "mirror"]
    brands = ["acme", "zenith", "orbit", "nova"]
    thing, brand = rng.integers(6, size=n_rows), rng.integers(4, size=n_rows)
    extra = rng.integers(1000, size=n_rows)
    strings = [
        f"{brands[b]} {things[t]} no{e}" for b, t, e in zip(brand, thing, extra, strict=True)
    ]
    price = thing + 0.5 * brand + 0.3 * rng.normal(size=n_rows)
    return strings, np.column_stack([price, rng.normal(size=n_rows), brand]).astype(float)


def laid_out(values: np.ndarray) -> Layout:
    return Layout.fit(
        values, np.array([False, False, True]), np.array([0, 0, 4]), np.ones(3, dtype=bool)
    )


def generator() -> Any:
    return torch.Generator().manual_seed(3)


def test_tfidf_is_that_of_sklearn() -> None:
    strings = ["red lamp", "red chair", "blue lamp lamp", "", "green"]
    ours = Vocabulary.fit(grams_of([strings])).weighed(grams_of([strings])).toarray()

    def analyse(string: str) -> list[int]:
        return sorted(naive(string.split(), BUCKETS)[1])

    reference = TfidfVectorizer(analyzer=analyse, norm=None)
    theirs = reference.fit_transform(strings).toarray()
    theirs = theirs[:, [place for _, place in sorted(reference.vocabulary_.items())]]
    theirs = theirs[:, (theirs > 0).sum(axis=0) > 1]
    lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs / np.where(lengths > 0, lengths, 1.0), rtol=1e-5)


def test_ridge_is_that_of_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greyknn.deep.texts.SETTLED", 1e-5)
    monkeypatch.setattr("greyknn.deep.texts.STEPS", 1000)
    strings, values = titles(150)
    rng = np.random.default_rng(1)
    inputs = Vocabulary.fit(grams_of([strings])).weighed(grams_of([strings]))
    outputs = np.column_stack([values[:, 0], values[:, 2] == 1, values[:, 1]]).astype(np.float32)
    told = rng.random(outputs.shape) < 0.7
    penalties = np.array([0.3, 1.0, 10.0], dtype=np.float32)
    slopes = inputs.T @ ridge(inputs, outputs, told, penalties)
    for column, penalty in enumerate(penalties):
        some = told[:, column]
        reference = Ridge(alpha=float(penalty), fit_intercept=False, solver="cholesky")
        reference.fit(inputs.toarray()[some].astype(float), outputs[some, column])
        np.testing.assert_allclose(
            inputs @ slopes[:, column], inputs @ reference.coef_, rtol=1e-3, atol=1e-3
        )


def test_text_is_as_good_as_sklearn() -> None:
    strings, values = titles(600)
    hidden = np.zeros(values.shape, dtype=bool)
    hidden[400:] = True
    layout = laid_out(np.where(hidden, np.nan, values))
    _, said = fit_text(
        layout, grams_of([strings]), layout.rows(np.where(hidden, np.nan, values)), generator()
    )
    said = said.numpy()
    inputs = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
    )
    before, after = inputs.fit_transform(strings[:400]), inputs.transform(strings[400:])
    price = Ridge(alpha=1.0).fit(before, values[:400, 0]).predict(after)
    ours = said[400:, 0] * layout.scales[0] + layout.centers[0]
    error, reference = (np.sqrt(np.mean((p - values[400:, 0]) ** 2)) for p in (ours, price))
    assert error < reference
    brand = LogisticRegression(C=10.0).fit(before, values[:400, 2])
    block, codes = layout.blocks[2], layout.codes_of(2)
    shares = said[400:, block][:, np.argsort(codes)]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    truth = values[400:, 2].astype(int)
    assert (shares.argmax(axis=1) == truth).mean() >= brand.score(after, truth) - 0.005
    likelihood, theirs = (
        -np.log(p[np.arange(200), truth]).mean() for p in (shares, brand.predict_proba(after))
    )
    assert likelihood < theirs
    # Of noise the best guess is the mean.
    assert np.abs(said[400:, 1]).mean() < 0.2


def test_what_is_said_of_a_row_was_not_learnt_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # These are one for all rows; all else is learnt without the row.
    monkeypatch.setattr("greyknn.deep.texts.PENALTIES", (1.0,))
    monkeypatch.setattr("greyknn.deep.texts.SHARPNESS", (8.0,))
    strings, values = titles(200)
    texts, layout = grams_of([strings]), laid_out(values)
    _, said = fit_text(layout, texts, layout.rows(values), generator())
    for row in (0, 77):
        other = values.copy()
        other[row] = [values[row, 0] + 0.3, values[row, 1] - 0.5, (values[row, 2] + 1) % 4]
        _, again = fit_text(layout, texts, layout.rows(other), generator())
        np.testing.assert_array_equal(again[row], said[row])
        assert not torch.equal(again, said)


def test_what_is_missing_is_not_learnt_from() -> None:
    strings, values = titles(200)
    values[::3, 0] = np.nan
    layout = laid_out(values)
    rows = layout.rows(values)
    text, _ = fit_text(layout, grams_of([strings]), rows, generator())
    rows.dense[::3, 0] = 99.0
    again, _ = fit_text(layout, grams_of([strings]), rows, generator())
    np.testing.assert_array_equal(again.slopes, text.slopes)


@pytest.mark.parametrize("strings", [["", None, "", None], ["abc", None, "def", ""]])
def test_texts_that_tell_nothing_are_worth_the_mean(strings: list[str | None]) -> None:
    values = np.array([[1.0, 0, 0], [2, 0, 1], [3, 1, 0], [6, 1, 0]])
    layout = laid_out(values)
    text, said = fit_text(layout, grams_of([strings]), layout.rows(values), generator())
    assert torch.isfinite(said).all()
    new = text.say(grams_of([["something else", None]]))
    np.testing.assert_allclose(new[:, 0], 0.0, atol=1e-6)
    assert (new[:, layout.blocks[2]].argmax(1) == 0).all()


def test_many_rows_are_guessed_that_nothing_was_learnt_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strings, values = titles(300)
    layout = laid_out(values)
    monkeypatch.setattr("greyknn.deep.texts.WORK", 1.0)
    monkeypatch.setattr("greyknn.deep.texts.SCOUTED", 150)
    text, said = fit_text(layout, grams_of([strings]), layout.rows(values), generator())
    alone = text.say(grams_of([strings]))
    # Those of no fold are guessed by what all others told.
    assert (said == alone).all(dim=1).sum() == 150
    assert np.corrcoef(said[:, 0], values[:, 0])[0, 1] > 0.8
    assert FOLDS > 1


def test_texts_come_from_the_nearest_row_that_has_one() -> None:
    values = np.array([[0.0, 0], [1, 0], [2, 1], [3, 1], [4, 1], [np.nan, np.nan]])
    layout = Layout.fit(values, np.array([False, True]), np.array([0, 2]), np.ones(2, dtype=bool))
    grey = Grey.fit(layout, values, layout.rows(values))
    codes = np.array([2.0, np.nan, 1.0, np.nan, 1.0, np.nan])
    wanted = np.array([[0.1, 0], [3.9, 1], [2.1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(text_donors(grey, wanted, codes), [0, 4, 2, 2])


def test_embedding_of_grams_is_that_of_a_loop() -> None:
    module = Grams(2, 2, 7, 3, generator())
    ids = np.array([[[1, 6, 7, 0], [3, 0, 0, 0]], [[0, 0, 0, 0], [20, 2, 9, 6]]])
    found = module(torch.from_numpy(ids).expand(2, 2, 2, 4)).detach().numpy()
    table = module.table.detach().numpy()
    for member in range(2):
        for row in range(2):
            for text in range(2):
                some = [1 + (i - 1) % 6 for i in ids[row, text] if i > 0]
                total = sum((table[member, text, i] for i in some), np.zeros(3))
                expected = 0.1 * total / max(len(some), 1) ** 0.5
                part = found[member, row, 3 * text : 3 * text + 3]
                np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-7)


def test_softmax_of_scores_is_as_sharp_as_is_likely() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((2000, 3)).astype(np.float32)
    drawn = softmax(8.0 * scores, axis=1).cumsum(axis=1)
    truth = np.eye(3, dtype=np.float32)[(rng.random((2000, 1)) > drawn[:, :2]).sum(axis=1)]
    assert 8.0 in SHARPNESS
    assert _sharpest(scores, truth) == 8.0
