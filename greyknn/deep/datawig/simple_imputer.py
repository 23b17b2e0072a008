"""Datawig's ``SimpleImputer`` on the deep imputer: one column from others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from greyknn.arrays import Floats
from greyknn.deep import storage
from greyknn.deep.datawig.completing import complete
from greyknn.deep.datawig.explaining import effects, strongest
from greyknn.deep.datawig.learning import Learning
from greyknn.deep.datawig.metrics import ALIKE, Checked, label_weights
from greyknn.deep.datawig.single import Single
from greyknn.deep.datawig.utils import ColumnOverwriteException
from greyknn.deep.imputer import DeepImputer
from greyknn.messages import warn

KIND, VERSION = "SimpleImputer", 1
DEEP_FILE, OWN_FILE = "deep_imputer.safetensors", "simple_imputer.safetensors"


class SimpleImputer(Learning):
    """Impute one column of a pandas frame from others, called as Datawig's class of this name.

    Differences from Datawig, beside the model, which is a ``DeepImputer``: nothing is written to
    disk but by ``save``; frames are never changed, unless ``inplace`` asks for it; a second
    ``fit`` begins anew; numbers are told from categories by their dtype, and booleans are
    categories; all imputers explain.

    Parameters
    ----------
    input_columns : list of str
    output_column : str
        A number if its dtype is one, else a label.
    output_path : str, default=""
        Folder of ``save``.
    num_hash_buckets : int, default=2**15
        Ignored: texts are hashed as ``DeepImputer`` hashes them.
    num_labels : int, default=100
        The most frequent labels are imputed; rows with others are not learnt from.
    tokens : {"chars", "words"}, default="chars"
        What ``explain`` takes texts apart into. Models read characters and words.
    numeric_latent_dim : int, default=100
        Ignored, as there are no layers of single columns.
    numeric_hidden_layers : int, default=1
        Ignored.
    is_explainable : bool, default=False
        Ignored.

    Attributes
    ----------
    imputer : DeepImputer or None
        What ``fit`` learnt.
    hpo : namespace
        ``hpo.results`` is the frame of trials of ``fit_hpo``.

    Examples
    --------
    >>> from greyknn.deep.datawig import SimpleImputer
    >>> from greyknn.deep.datawig.utils import generate_df_numeric, random_split
    >>> df = generate_df_numeric(num_samples=200, label_column_name="y", seed=0)
    >>> train, test = random_split(df)
    >>> imputer = SimpleImputer(["x"], "y").fit(train, num_epochs=20)
    >>> imputed = imputer.predict(test)
    >>> bool((imputed["y"] - imputed["y_imputed"]).abs().mean() < 0.5)
    True
    """

    def predict(
        self,
        data_frame: Any,
        precision_threshold: float = 0.0,
        imputation_suffix: str = "_imputed",
        score_suffix: str = "_imputed_proba",
        inplace: bool = False,
    ) -> Any:
        """Add a column with what is expected of the output column, in every row.

        What the output column holds is not looked at, nor need it be there.

        Parameters
        ----------
        data_frame : DataFrame
        precision_threshold : float, default=0.0
            A label is missing where held-out cells that were taken for it, and looked as sure,
            were right in a smaller share. (Datawig compares the probability instead.)
        imputation_suffix, score_suffix : str
            Of the columns' names: the fill, and, of a label, its probability.
        inplace : bool, default=False
            Whether the columns are added to the frame itself.

        Returns
        -------
        DataFrame
            A copy, or the frame itself, with the columns.

        Raises
        ------
        ColumnOverwriteException
            If the frame has such a column.
        """
        import pandas as pd

        single = self._fitted()
        if not 0.0 <= precision_threshold <= 1.0:
            raise ValueError(f"precision_threshold={precision_threshold!r} must be from 0 to 1.")
        said = single.ask(data_frame)
        values = single.values(said)
        added = {self.output_column + imputation_suffix: values}
        if single.output.categorical:
            if precision_threshold > 0.0:
                values[single.doubtful(said, precision_threshold, self._checked)] = None
            added[self.output_column + score_suffix] = single.shares(said).max(axis=1)
        taken = [name for name in added if name in data_frame.columns]
        if taken:
            raise ColumnOverwriteException(
                f"The frame has a column {taken[0]!r} already: drop it, or give other suffixes."
            )
        out = data_frame if inplace else data_frame.copy()
        for name, values in added.items():
            natural = values.tolist() if values.dtype == object else values
            out[name] = pd.Series(natural).array  # by position, whatever the index
        return out

    def explain(self, label: Any, k: int = 10, label_column: str | None = None) -> dict[str, Any]:
        """Which tokens of texts, levels and ranges of numbers go with a label.

        Parameters
        ----------
        label : object
        k : int, default=10
            How many of each column.
        label_column : str, optional
            Nothing but the output column.

        Returns
        -------
        dict
            "explained_label", and for each input column a list of (token, score), best first. A
            score is the correlation with the label's probability, in training rows.
        """
        place = self._fitted().level(label, label_column)
        return {"explained_label": label, **strongest(self._associations, place, k)}

    def explain_instance(
        self,
        instance: Mapping[str, Any],
        k: int = 10,
        label_column: str | None = None,
        label: Any = None,
    ) -> dict[str, Any]:
        """What the prediction for a row owes to its cells, and to the words of its texts.

        Parameters
        ----------
        instance : Series or dict
            A row.
        k : int, default=10
            How many words of a text.
        label_column : str, optional
            Nothing but the output column.
        label : object, optional
            By default the one that is predicted.

        Returns
        -------
        dict
            "explained_label", or the number that is predicted, and for each input column a list
            of (word or value, effect): the probability of the label, or the number, with it, less
            that without it.
        """
        single = self._fitted()
        row = {name: instance[name] for name in self.input_columns}
        base = single.ask([row])
        place = single.level(label, label_column) if label is not None else None
        if place is None and single.output.categorical:
            place = int(single.numbers(base)[0])

        def say(rows: list[dict[str, Any]]) -> Floats:
            said = single.ask(rows)
            return single.numbers(said) if place is None else single.shares(said)[:, place]

        explained = single.values(base).tolist()[0] if label is None else label
        return {"explained_label": explained, **effects(row, single.texts, say, k)}

    def check_for_label_shift(self, target_data: Any) -> dict[Any, float]:
        """How much more frequent each label is in other data than in the data of ``fit``.

        The confusion matrix of rows that were kept from fit is solved for the frequencies of
        labels that give the predictions for the other data (Lipton, Wang and Smola 2018), with
        probabilities for predictions and by non-negative least squares. Rows of a label must look
        alike in both. Fit again with the weights: ``fit(train_df, class_weights=weights)``.

        Parameters
        ----------
        target_data : DataFrame
            Its labels are not looked at.

        Returns
        -------
        dict of label -> float

        Raises
        ------
        ValueError
            If the output is a number, or no rows were kept from fit.
        """
        single = self._fitted()
        if not single.output.categorical:
            raise ValueError(f"{self.output_column!r} is a number; only labels can shift.")
        checked = self._held_out()
        weights, apart = label_weights(checked, single.shares(single.ask(target_data)))
        if apart < ALIKE:
            warn(
                "Some labels are hardly told apart by the predictions, and weights for them are "
                "little more than chance: give more rows as test_df, or better input columns."
            )
        return dict(zip(checked.levels, weights.tolist(), strict=True))

    def load_metrics(self) -> dict[str, Any]:
        """Metrics on the rows of test_df or test_split, which were not learnt from.

        Returns
        -------
        dict
            Of labels, by Datawig's names: "class_counts", a list of (label, rows), the most
            frequent first; "class_precision", "class_recall" and "class_f1", in their order;
            their means "avg_..." and "weighted_..." by frequency; "avg_accuracy";
            "confusion_matrix", a list of (label, list of (predicted, rows));
            "precision_recall_curves" by label. Of numbers "mse", "mae" and "r2".
        """
        return self._held_out().metrics()

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write what was learnt to a folder, without code in it (safetensors and JSON).

        Parameters
        ----------
        path : path, optional
            A folder, made if there is none; by default output_path.
        """
        folder = path or self.output_path
        if not folder:
            raise ValueError("There is no folder to save to: give save a path, or output_path.")
        single = self._fitted()
        results = self.hpo.results
        state = {
            "input_columns": self.input_columns, "output_column": self.output_column,
            "num_labels": self.num_labels, "tokens": self.tokens, "checked": self._checked,
            "associations": self._associations, "weights": single.weights,
            "results": None if results is None else results.to_dict("list"),
        }  # fmt: skip
        Path(folder).mkdir(parents=True, exist_ok=True)
        single.deep.save(Path(folder) / DEEP_FILE)
        storage.write(
            Path(folder) / OWN_FILE, state, kind=KIND, version=VERSION, classes=(Checked,)
        )

    @classmethod
    def load(cls, output_path: str | os.PathLike[str]) -> Self:
        """What ``save`` wrote to a folder; it predicts exactly the same.

        Raises
        ------
        ValueError
            If a file is damaged, something else, or of a newer greyknn.
        OSError
            If it cannot be opened. (``fit`` writes nothing, other than Datawig's.)
        """
        import pandas as pd

        state = storage.read(
            Path(output_path) / OWN_FILE, kind=KIND, version=VERSION, classes=(Checked,)
        )
        imputer = cls(
            state["input_columns"], state["output_column"], os.fspath(output_path),
            num_labels=state["num_labels"], tokens=state["tokens"],
        )  # fmt: skip
        deep = DeepImputer.load(Path(output_path) / DEEP_FILE)
        imputer._single = Single(deep, state["weights"])
        imputer._checked, imputer._associations = state["checked"], state["associations"]
        if state["results"] is not None:
            imputer.hpo.results = pd.DataFrame(state["results"])
        return imputer

    complete = staticmethod(complete)

    def _held_out(self) -> Checked:
        self._fitted()
        if self._checked is None:
            raise ValueError(
                "No rows were kept from fit: give fit a test_df, more rows, or a larger test_split."
            )
        return self._checked
