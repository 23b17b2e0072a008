"""A fitted deep imputer in numbers: priors, network and what was learnt from held-out cells.

Everything here is a coded matrix (``table``), its columns those that take part, the label last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.forest import Forest
from greyknn.deep.grey import Grey, Kernel
from greyknn.deep.heldout import (
    Verdict,
    begin_scales,
    collect,
    judge_columns,
    normalised,
    probabilities,
)
from greyknn.deep.layout import Layout
from greyknn.deep.material import Material, Settings
from greyknn.deep.network import Batch, Network
from greyknn.deep.passages import Passages
from greyknn.deep.priors import NAMES, Fitted, guesses
from greyknn.deep.sequences import Reading, Timeline
from greyknn.deep.texts import Text, text_donors
from greyknn.deep.training import History, Schedule, Trainer, rows_at_once, scales_of

FOREST_COPIES = 5
"""Copies whose hidden cells trees learn from."""

CHUNK = 4096
"""Rows that are filled at a time."""


@dataclass(frozen=True)
class Predicted:
    """What is said about rows, in the network's terms.

    Attributes
    ----------
    outputs : array of shape (n_rows, n_outputs)
        Means of standardised numbers, probabilities of levels.
    scales : array of shape (n_rows, n_numbers)
        Standard deviations before calibration.
    """

    outputs: Floats
    scales: Floats

    def rows(self, some: Ints) -> Predicted:
        """What is said about some of the rows."""
        return Predicted(self.outputs[some], self.scales[some])


@dataclass
class DeepModel:
    """What a fit learnt.

    Attributes
    ----------
    settings : Settings
    layout : Layout
    reference : array of shape (n_reference, n_columns)
        Coded rows that the priors know.
    reference_texts : array of shape (n_reference, n_texts, n_grams)
    reference_rows : array of shape (n_reference,)
        Their positions in the training table.
    priors : list of Fitted
    network : Network
    verdict : Verdict
    history : History
    n_seen : int
        Rows that were learnt from.
    unit : float
        Of time: a step of the series that were learnt from.
    text : Text or None
        What texts tell about the other columns.
    forest : Forest or None
        Trees that stand beside the network.
    """

    settings: Settings
    layout: Layout
    reference: Floats
    reference_texts: Ints
    reference_rows: Ints
    priors: list[Fitted]
    network: Network
    verdict: Verdict
    history: History
    n_seen: int
    unit: float = 1.0
    text: Text | None = None
    forest: Forest | None = None

    @classmethod
    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(
        cls, settings: Settings, values: Floats, categorical: Bools, levels: Ints, targets: Bools,
        *, ordered: Bools | None = None, dates: Bools | None = None, texts: Ints | None = None,
        weight: Floats | None = None, timeline: Timeline | None = None,
        class_weights: Callable[[Layout], torch.Tensor] | None = None,
        report: Callable[[int, int, float], None] = lambda *_: None,
    ) -> DeepModel:  # fmt: skip
        """Learn from a coded table.

        Parameters
        ----------
        settings : Settings
        values : array of shape (n_rows, n_columns)
            Every column has an observed value.
        categorical, targets : array of shape (n_columns,)
            What is not a target is looked at only.
        levels : array of shape (n_columns,)
            How many codes a category has.
        ordered, dates : array of shape (n_columns,), optional
            Categories whose codes are in order; numbers that are seconds since 1970.
        texts : array of shape (n_rows, n_texts, n_grams), optional
        weight : array of shape (n_rows,), optional
        timeline : Timeline, optional
            The series of the table.
        class_weights : callable, optional
            From a layout to what each output counts.
        report : callable
            Called with the step, all steps and the loss.
        """
        begun = time.monotonic()
        # What texts and interpolation say comes last, as it is not fitted with the others.
        settings = replace(settings, priors=tuple(n for n in NAMES if n in settings.priors))
        if timeline is None and "time" in settings.priors:
            raise ValueError(
                "priors holds 'time', but there are no series: name the columns that tell them "
                "as groups= and time=, or leave 'time' out."
            )
        n_rows = len(values)
        texts = np.zeros((n_rows, 0, 1), dtype=np.int64) if texts is None else texts
        weight = np.ones(n_rows) if weight is None else weight
        ids = np.arange(n_rows)
        if timeline is not None:
            ids = timeline.order
            values, texts, weight = values[ids], texts[ids], weight[ids]
        layout = Layout.fit(values, categorical, levels, targets, ordered, dates)
        if layout.n_cells == 0:  # nothing but texts, which are copied
            settings = replace(settings, priors=())
        material: Material
        if timeline is None:
            material = Material(settings, layout, values, texts, weight, ids)
        else:
            settings = replace(settings, cell=settings.cell or "gru")
            material = Passages(settings, layout, values, texts, weight, ids, timeline)
        generator = torch.Generator().manual_seed(settings.seed)
        network = Network(layout, material.shape(), generator).to(settings.device)
        schedule = Schedule(
            material.steps, material.batch_size, material.lr, settings.weight_decay,
            settings.patience,
            begun + settings.time_budget if settings.time_budget else float("inf"),
            amp=settings.amp, compile=settings.compile,
        )  # fmt: skip
        count = None if class_weights is None else class_weights(layout)
        begin_scales(network, layout, material.judge)
        history, verdict, forest = learn(network, material, schedule, count, report)
        return cls(
            settings, layout, material.reference, material.reference_texts,
            material.reference_rows, material.fitted(), network, verdict, history, n_rows,
            1.0 if timeline is None else timeline.unit, material.text, forest,
        )  # fmt: skip

    def predict(
        self, values: Floats, texts: Ints | None = None, timeline: Timeline | None = None
    ) -> Predicted:
        """What is expected of every cell of coded rows (n_rows, n_columns).

        A model of series takes rows without a timeline for series of one row each.
        """
        texts = np.zeros((len(values), 0, 1), dtype=np.int64) if texts is None else texts
        if len(values) == 0:
            layout = self.layout
            return Predicted(np.empty((0, layout.n_outputs)), np.empty((0, layout.n_numbers)))
        if self.settings.cell is not None:
            alone = Timeline.of(np.arange(len(values)), np.zeros(len(values)))
            return self._along(values, texts, timeline or alone)
        parts = [
            self._predict(values[begin : begin + CHUNK], texts[begin : begin + CHUNK])
            for begin in range(0, len(values), CHUNK)
        ]
        return Predicted(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _along(self, values: Floats, texts: Ints, timeline: Timeline) -> Predicted:
        """What is expected of rows by their series, window by window."""
        layout, order = self.layout, timeline.order
        values, texts = values[order], texts[order]
        known = layout.frequencies(layout.rows(self.reference))
        lines, extras = replace(timeline, unit=self.unit).look(layout.rows(values), layout, known)
        outputs = np.empty((len(values), layout.n_outputs))
        scales = np.empty((len(values), layout.n_numbers))
        for windows in timeline.windows().portions(CHUNK):
            reading = windows.reading()
            rows, kept = reading.rows.numpy(), reading.kept.numpy()
            said = self._predict(values[rows], texts[rows], lines[rows], extras[rows], reading)
            places = order[rows[kept]]
            outputs[places], scales[places] = (part[kept] for part in said)
        return Predicted(outputs, scales)

    def text_donors(self, values: Floats, codes: Floats) -> Ints:
        """Whose text to copy, of the reference; arguments as in ``texts.text_donors``."""
        return text_donors(self.grey, values, codes)

    @property
    def grey(self) -> Grey:
        """The reference as donors."""
        for prior in self.priors:
            if isinstance(prior, Grey):
                return prior
            if isinstance(prior, Kernel):
                return prior.grey
        return Grey.fit(self.layout, self.reference, self.layout.rows(self.reference))

    @torch.no_grad()
    def _predict(
        self, values: Floats, texts: Ints, lines: torch.Tensor | None = None,
        extras: torch.Tensor | None = None, reading: Reading | None = None,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        layout, device = self.layout, next(self.network.parameters()).device
        rows = replace(layout.rows(values), lines=lines)
        extras = torch.zeros(len(rows), 0, dtype=torch.float32) if extras is None else extras
        lines = lines if "time" in self.settings.priors else None
        said = None if self.text is None else self.text.say(texts)
        priors = guesses(self.priors, values, rows, layout, said, lines)
        members = self.network.shape.members
        net, logs = [], []
        size = rows_at_once(members, layout)
        for some in torch.arange(len(values)).split(size if reading is None else len(values)):
            batch = Batch(
                rows.dense[some], rows.seen[some], rows.embeds[some], priors[some],
                torch.from_numpy(texts)[some], extras[some],
            )  # fmt: skip
            many = (part.to(device).expand(members, *part.shape) for part in batch[:6])
            read = None if reading is None else reading.to(device)
            outputs, log = self.network(Batch(*many)._replace(reading=read))
            net.append(probabilities(layout, outputs).mean(0).cpu())
            logs.append(log.mean(0).cpu())
        proposals = torch.cat([torch.cat(net)[:, None], normalised(layout, priors)], 1)
        proposed = proposals.double().numpy()
        if self.forest is not None:
            dense, told = rows.dense.double().numpy(), rows.told.numpy()
            proposed = self.forest.predict(proposed, dense, told)
        scales = scales_of(torch.cat(logs)).double().numpy()
        return self.verdict.stack(layout, proposed), scales


def learn(
    network: Network, material: Material, schedule: Schedule, count: torch.Tensor | None,
    report: Callable[[int, int, float], None],
) -> tuple[History, Verdict, Forest | None]:  # fmt: skip
    """Train a network, and let the cells that were held out tell how good it is.

    Parameters
    ----------
    network : Network
        Trained in place.
    material : Material
    schedule : Schedule
    count : array of shape (n_outputs,), optional
        What each output counts in the loss.
    report : callable
    """
    layout, settings = material.layout, material.settings
    device = torch.device(settings.device)
    noise = torch.Generator(device).manual_seed(settings.seed)
    count = torch.ones(layout.n_outputs, dtype=torch.float32) if count is None else count
    trainer = Trainer(network, layout, schedule, noise, count.to(device))
    history = trainer.run(material.blocks(), material.per_block, material.judge, report)
    names = settings.priors
    verdict = judge_columns(collect(network, layout, material.judge), layout, names)
    if not settings.trees:
        return history, verdict, None
    held_out = collect(network, layout, material.shown(FOREST_COPIES))
    forest, held_out = Forest.fit(layout, verdict, held_out, settings.seed)
    return history, judge_columns(held_out, layout, (*names, "trees")), forest
