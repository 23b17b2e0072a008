"""What the cells that no member had learnt from tell: shares, temperatures, quantiles, skill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.calibration import ENOUGH, coverage, expected_error, reliability
from greyknn.deep.copies import Block
from greyknn.deep.layout import Layout
from greyknn.deep.network import SHARPNESS, Network
from greyknn.deep.training import batch_of, pieces, scales_of
from greyknn.targets.stack import stacked

FEWEST = 8
"""Held-out cells that a column needs for shares of its own."""

LEVELS = np.linspace(0.005, 0.995, 100)
"""Of the quantiles that are kept."""

TEMPERATURES = np.exp(np.linspace(-1.2, 1.2, 49))


@dataclass(frozen=True)
class HeldOut:
    """Hidden cells and what was said about them, by the member whose fold they are.

    Attributes
    ----------
    proposals : array of shape (n_rows, 1 + n_priors, n_outputs)
        Of the network, then of each prior.
    truth : array of shape (n_rows, n_outputs)
    scales : array of shape (n_rows, n_numbers)
    hidden, shown : bool array of shape (n_rows, n_cells)
        Cells that are judged, and cells that the copy tells.
    folds : array of shape (n_rows, n_cells)
    rows : array of shape (n_rows,)
    """

    proposals: Floats
    truth: Floats
    scales: Floats
    hidden: Bools
    shown: Bools
    folds: Ints
    rows: Ints


def probabilities(layout: Layout, outputs: torch.Tensor) -> torch.Tensor:
    """Outputs with logits of categories turned into probabilities; any leading axes."""
    parts = [outputs[..., : layout.n_numbers]]
    parts += [
        F.softmax(SHARPNESS * outputs[..., block], -1)
        for block in layout.blocks[layout.n_numbers :]
    ]
    return torch.cat(parts, -1)


def normalised(layout: Layout, priors: torch.Tensor) -> torch.Tensor:
    """Priors with guesses about categories made probabilities; any leading axes."""
    parts = [priors[..., : layout.n_numbers]]
    for block in layout.blocks[layout.n_numbers :]:
        share = priors[..., block].clamp(min=1e-4)
        parts.append(share / share.sum(-1, keepdim=True))
    return torch.cat(parts, -1)


@torch.no_grad()
def collect(network: Network, layout: Layout, judge: Block) -> HeldOut:
    """Ask every member about the hidden cells of its fold."""
    members = network.shape.members
    owner = layout.owner.to(judge.folds.device)
    gathered: list[list[torch.Tensor]] = []
    for copies, rows, reading in pieces(judge, members, layout):
        batch, hidden = batch_of(judge, copies, rows, layout, reading)
        outputs, logs = network(batch)
        outputs = probabilities(layout, outputs)
        folds = judge.folds[rows[0]].long()
        kept = folds < members
        folds = folds.clamp(max=members - 1)
        own = outputs.gather(0, folds[:, owner][None])[0]
        scales = scales_of(logs).gather(0, folds[:, : layout.n_numbers][None])[0]
        proposals = torch.cat([own[:, None], normalised(layout, batch.priors[0])], 1)
        told = judge.rows.told[rows[0]]
        judged, shown = hidden[0] & told & kept, ~hidden[0] & told
        truth = judge.rows.dense[rows[0]]
        gathered.append([proposals, truth, scales, judged, shown, folds, rows[0]])
    parts = [torch.cat(part).cpu() for part in zip(*gathered, strict=True)]
    numbers = [part.double() if part.is_floating_point() else part for part in parts]
    return HeldOut(*(part.numpy() for part in numbers))


@torch.no_grad()
def begin_scales(network: Network, layout: Layout, judge: Block) -> None:
    """Let the scale of each number begin as that of the first guesses' errors."""
    held_out = collect(network, layout, judge)
    for cell in range(layout.n_numbers):
        some = held_out.hidden[:, cell]
        if some.sum() >= FEWEST:
            errors = held_out.proposals[some, 0, cell] - held_out.truth[some, cell]
            scale = max(float(np.sqrt((errors**2).mean())), 1e-2)
            network.spread.bias[:, :, cell] = float(np.log(scale))


@dataclass(frozen=True)
class Verdict:
    """What was learnt from held-out cells, for each cell column.

    Attributes
    ----------
    shares : array of shape (n_cells, 1 + n_priors)
        How much the network and each prior count.
    temperatures : array of shape (n_cells,)
    quantiles : array of shape (n_cells, len(LEVELS))
        Of residuals over scales.
    reports : dict of int -> Skill
    evidence : dict of int -> tuple of arrays of shape (n_held_out,)
        Of a category: codes that held-out cells were taken for, their probability, and whether
        that was right.
    checks : dict of int -> array
        Of a category, what ``reliability`` tells before and after tempering (2, 3, BINS); of a
        number, what ``coverage`` tells (2, len(CENTRAL)).
    """

    shares: Floats
    temperatures: Floats
    quantiles: Floats
    reports: dict[int, Skill]
    evidence: dict[int, tuple[Ints, Floats, Bools]]
    checks: dict[int, Floats]

    def stack(self, layout: Layout, proposals: Floats) -> Floats:
        """Means and calibrated probabilities (n_rows, n_outputs) from all proposals."""
        shares = self.shares[layout.owner.numpy()]
        out: Floats = np.einsum("rpo,op->ro", proposals, shares)
        for cell in range(layout.n_numbers, layout.n_cells):
            block = layout.blocks[cell]
            out[:, block] = tempered(out[:, block], self.temperatures[cell])
        return out


@dataclass(frozen=True)
class Skill:
    """What to expect of a column's fills, from observed cells that were hidden.

    Attributes
    ----------
    n_cells : int
    error : float
        Root mean square error over the standard deviation, or share of wrong categories.
    naive : float
        The same of the mean or the mode.
    parts : dict of str -> float
        The same of the network and each prior alone.
    shares : dict of str -> float
        How much these count.
    calibration : tuple of float or None
        Expected calibration error of a category's probabilities before and after.
    """

    n_cells: int
    error: float
    naive: float
    parts: dict[str, float]
    shares: dict[str, float]
    calibration: tuple[float, float] | None

    @property
    def skill(self) -> float:
        """1 for no error, 0 for that of the mean or mode."""
        return 1.0 - self.error / self.naive if self.naive > 0 else 0.0


def tempered(shares: Floats, temperature: float) -> Floats:
    """Probabilities to the power of 1 / temperature, summing to 1."""
    logs = np.log(np.clip(shares, 1e-9, None)) / temperature
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True, initial=-1e9))
    even: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return even


def calibration_error(shares: Floats, truth: Ints) -> float:
    """Expected difference of confidence and accuracy, over bins of confidence."""
    return expected_error(reliability(shares.max(axis=1), shares.argmax(axis=1) == truth))


def judge_columns(held_out: HeldOut, layout: Layout, names: Sequence[str]) -> Verdict:
    """Learn shares, temperatures and quantiles."""
    n_parts = held_out.proposals.shape[1]
    parts = ("network", *names)
    shares = np.zeros((layout.n_cells, n_parts))
    temperatures = np.ones(layout.n_cells)
    known = np.zeros(layout.n_cells, dtype=bool)
    for cell, block in enumerate(layout.blocks):
        some = held_out.hidden[:, cell]
        if not layout.targets[cell] or some.sum() < FEWEST:
            continue
        proposed = held_out.proposals[some][:, :, block]
        shares[cell] = stacked(list(proposed.swapaxes(0, 1)), held_out.truth[some][:, block])
        known[cell] = True
    shares[~known] = shares[known].mean(axis=0) if known.any() else np.eye(n_parts)[0]
    quantiles = np.zeros((layout.n_cells, len(LEVELS)))
    ratios, halves, reports, evidence = [], [], {}, {}
    checks: dict[int, Floats] = {}
    for cell, block in enumerate(layout.blocks):
        some = held_out.hidden[:, cell]
        proposed, truth = held_out.proposals[some][:, :, block], held_out.truth[some][:, block]
        final = np.einsum("rpo,p->ro", proposed, shares[cell])
        calibration = None
        if cell >= layout.n_numbers:
            codes = truth.argmax(axis=1)
            if len(truth):
                temperatures[cell], calibration = _temperature(final, codes)
            sure = tempered(final, temperatures[cell])
            best = sure.argmax(axis=1)
            told = layout.codes_of(cell)[best]
            evidence[cell] = told, sure.max(axis=1), best == codes
            both = final.max(axis=1), sure.max(axis=1)
            checks[cell] = np.stack([reliability(one, best == codes) for one in both])
        if cell < layout.n_numbers:
            ratios.append((truth - final)[:, 0] / held_out.scales[some, cell])
            halves.append(held_out.rows[some] % 2 == 1)
        reports[cell] = _skill(
            layout, cell, proposed, final, truth, parts, shares[cell], calibration
        )
    pooled = np.concatenate(ratios) if ratios else np.zeros(0)
    shared = np.quantile(pooled, LEVELS) if len(pooled) else LEVELS - 0.5
    for cell, ratio in enumerate(ratios):
        quantiles[cell] = np.quantile(ratio, LEVELS) if len(ratio) >= ENOUGH else shared
    checks |= enumerate(coverage(ratios, halves))
    return Verdict(shares, temperatures, quantiles, reports, evidence, checks)


def _temperature(shares: Floats, codes: Ints) -> tuple[float, tuple[float, float]]:
    """The temperature of least negative log likelihood, unless calibration gets worse by it."""
    before = calibration_error(shares, codes)
    rows = np.arange(len(codes))
    costs = [-np.log(tempered(shares, t)[rows, codes]).mean() for t in TEMPERATURES]
    best = float(TEMPERATURES[int(np.argmin(costs))])
    after = calibration_error(tempered(shares, best), codes)
    if after >= before:
        return 1.0, (before, before)
    return best, (before, after)


def _skill(
    layout: Layout, cell: int, proposed: Floats, final: Floats, truth: Floats,
    names: tuple[str, ...], shares: Floats, calibration: tuple[float, float] | None,
) -> Skill:  # fmt: skip
    if len(truth) == 0:
        return Skill(0, np.nan, np.nan, {}, {}, None)
    numbers = cell < layout.n_numbers

    def error(said: Floats) -> float:
        if numbers:
            return float(np.sqrt(((said - truth) ** 2).mean()))
        return float((said.argmax(axis=1) != truth.argmax(axis=1)).mean())

    center = truth.mean(axis=0, keepdims=True).repeat(len(truth), axis=0)
    return Skill(
        len(truth), error(final), error(center),
        {name: error(proposed[:, place]) for place, name in enumerate(names)},
        dict(zip(names, map(float, shares), strict=True)), calibration,
    )  # fmt: skip
