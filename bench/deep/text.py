"""A shop's list: what a product is and costs, and a title that tells it with typos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.deep.tasks import Frame, Task, scattered
from greyknn.evaluation.tables import Data, is_category

RATES = (0.2, 0.4)
METHODS = ("deep", "mean", "forest", "ngrams", "datawig")
COMPLETE = "size"


class Kind(NamedTuple):
    """A category of products: what it is called, its sizes, their unit, a price for size 1."""

    names: tuple[str, ...]
    sizes: tuple[float, ...]
    unit: str
    price: float


KINDS = {
    "coffee": Kind(("coffee", "espresso", "coffee beans"), (250, 500, 1000), "g", 0.9),
    "tea": Kind(("green tea", "black tea", "herbal tea"), (50, 100, 200), "g", 1.1),
    "shampoo": Kind(("shampoo", "hair wash"), (200, 250, 400), "ml", 0.35),
    "paint": Kind(("wall paint", "emulsion", "primer"), (750, 2500, 5000), "ml", 0.5),
    "pasta": Kind(("spaghetti", "penne", "fusilli", "pasta"), (500, 1000), "g", 0.12),
    "juice": Kind(("orange juice", "apple juice", "nectar"), (330, 750, 1000), "ml", 0.14),
    "cable": Kind(("usb cable", "charging lead", "hdmi cable"), (50, 100, 200), "cm", 1.9),
    "lamp": Kind(("led bulb", "desk lamp", "light"), (4, 7, 11, 15), "w", 8.0),
}
BRANDS = (
    "Alvaro", "Benton", "Corvina", "Dalmar", "Ellsworth", "Fjordal", "Granito", "Hollis",
    "Isola", "Juniper", "Kestrel", "Lumina", "Marbella", "Nordvik", "Orsini", "Pemberly",
)  # fmt: skip
EXTRAS = ("new", "classic", "value pack", "premium", "eco", "offer", "original", "xl")


def titled(seeds: Sequence[int]) -> Iterator[tuple[Task, tuple[str, ...]]]:
    """The list with gaps in category, brand and price, and the methods that fill it."""
    table = titles()
    data = Data.of(table.drop(columns="title"), None, "from_dtype", "titles")
    may_go = np.broadcast_to(data.frame.columns != COMPLETE, data.frame.shape)
    for repeat in seeds:
        for rate in RATES:
            hidden = scattered(may_go, rate, repeat)
            yield Task("text", data, hidden, "mcar", rate, repeat, table[["title"]]), METHODS


def titles(n_rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Products with columns title, category, brand, size and price.

    Every brand makes three categories. The price grows with the size to the power of 0.8 and
    depends on the brand. A title lacks the brand in a quarter of the rows, what the product is in
    a seventh and its size in a tenth, and one letter in 30 is wrong.
    """
    rng = np.random.default_rng(seed)
    kinds = list(KINDS)
    made = [rng.permutation(len(kinds))[:3] for _ in BRANDS]
    dearness = np.exp(0.35 * rng.normal(size=len(BRANDS)))
    rows = []
    for brand in rng.integers(len(BRANDS), size=n_rows):
        category = kinds[rng.choice(made[brand])]
        kind = KINDS[category]
        size = float(rng.choice(kind.sizes))
        price = kind.price * size**0.8 * dearness[brand] * np.exp(0.1 * rng.normal())
        parts = [
            *([BRANDS[brand]] if rng.random() > 1 / 4 else []),
            *([str(rng.choice(kind.names))] if rng.random() > 1 / 7 else []),
            *([f"{size:g}{rng.choice(['', ' '])}{kind.unit}"] if rng.random() > 1 / 10 else []),
            *rng.choice(EXTRAS, size=rng.integers(1, 3), replace=False),
        ]
        title = misspelt(" ".join(parts[i] for i in rng.permutation(len(parts))), rng)
        rows.append((title, category, BRANDS[brand], size, round(price, 2)))
    table = pd.DataFrame(rows, columns=["title", "category", "brand", "size", "price"])
    return table.astype({"category": "category", "brand": "category"})


def misspelt(text: str, rng: np.random.Generator, share: float = 1 / 30) -> str:
    """A text some of whose letters are left out, doubled or another letter."""
    written = []
    for letter in text:
        other = chr(ord("a") + int(rng.integers(26)))
        wrong = ("", letter + letter, other)[rng.integers(3)]
        written.append(wrong if letter.isalpha() and rng.random() < share else letter)
    return "".join(written)


class NGrams(BaseEstimator):  # type: ignore[misc]
    """Linear models on tf-idf of words and of 2 to 5 letters, and on the other columns.

    Parameters
    ----------
    text : tuple of names
        Columns that are read as text and have no gaps.
    """

    def __init__(self, text: tuple[str, ...]) -> None:
        self.text = text

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill categories by logistic, numbers by ridge regression, from left to right."""
        words = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        ).fit_transform(X[list(self.text)].astype(str).agg(" ".join, axis=1))
        filled = X.copy()
        for name in X.columns.drop(list(self.text)):
            gaps = X[name].isna().to_numpy()
            if gaps.any():
                others = filled.drop(columns=[*self.text, name])
                inputs = sparse.csr_array(sparse.hstack([words, *map(_coded, others.items())]))
                classify = is_category(X[name])
                model = LogisticRegression(C=10, max_iter=300) if classify else Ridge(1.0)
                model.fit(inputs[~gaps], X.loc[~gaps, name].to_numpy())
                filled.loc[gaps, name] = model.predict(inputs[gaps])
        return filled


def _coded(column: tuple[str, Frame]) -> Any:
    """A sparse block: a category as 0 and 1 (a gap as a category), a number standardised."""
    cells = column[1].to_frame()
    if is_category(column[1]):
        return OneHotEncoder().fit_transform(cells.astype(object).fillna("?"))
    return sparse.csr_array(StandardScaler().fit_transform(cells.fillna(cells.mean())))
