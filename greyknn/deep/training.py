"""The training loop: every member learns the holes of its own folds, and stops when it is best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from greyknn.deep.copies import Block
from greyknn.deep.layout import MISSING, Layout
from greyknn.deep.network import SHARPNESS, Batch, Network
from greyknn.deep.sequences import Reading

NOISE = 0.05
"""Standard deviation of what is added to observed numbers in training."""

SMOOTHING = 0.98
"""Of the running mean of the weights."""

EVERY = 20
"""Steps between looks at the held-out cells."""

LOG_SCALES = -5.0, 3.0
"""Least and largest log standard deviation."""

MOST_CELLS = 4_000_000
"""Numbers that one forward pass may hold."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Attributes
    ----------
    steps, batch_size, patience : int
    lr, weight_decay : float
    until : float
        Time (``time.monotonic``) after which training ends.
    constant : bool
        Whether the rate stays what it is, rather than rise and fall.
    amp : bool
        Whether products are those of bfloat16.
    compile : bool
        Whether torch translates the network.
    """

    steps: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int
    until: float = float("inf")
    constant: bool = False
    amp: bool = False
    compile: bool = False


@dataclass
class History:
    """Steps that were looked at, and the mean held-out loss there."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    broken: bool = False


def batch_of(
    block: Block, copies: torch.Tensor, rows: torch.Tensor, layout: Layout,
    reading: Reading | None = None,
) -> tuple[Batch, torch.Tensor]:  # fmt: skip
    """The inputs of rows of copies, and their hidden cells; both indices (n_members, n_rows)."""
    hidden = block.hidden[copies, rows]
    seen = block.rows.seen[rows] & ~hidden
    owner = layout.owner.to(seen.device)
    dense = torch.where(seen[..., owner], block.rows.dense[rows], 0.0)
    embeds = torch.where(seen[..., layout.n_numbers :], block.rows.embeds[rows], MISSING)
    batch = Batch(
        dense, seen, embeds, block.priors[copies, rows], block.texts[rows],
        block.extras[copies, rows], reading,
    )  # fmt: skip
    return batch, hidden


def losses(
    layout: Layout, outputs: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted sum of squared errors and cross-entropies of each member, shape (n_members,).

    Parameters
    ----------
    outputs, truth : (n_members, n_rows, n_outputs)
    weights : (n_members, n_rows, n_cells)
    """
    numbers = layout.n_numbers
    error = (outputs[..., :numbers] - truth[..., :numbers]).square() * weights[..., :numbers]
    total = error.sum((1, 2))
    for cell in range(numbers, layout.n_cells):
        block = layout.blocks[cell]
        if block.stop == block.start:
            continue
        logs = F.log_softmax(SHARPNESS * outputs[..., block], -1)
        total = total - ((logs * truth[..., block]).sum(-1) * weights[..., cell]).sum(1)
    return total


def spread_loss(
    layout: Layout, outputs: torch.Tensor, logs: torch.Tensor, truth: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Negative log likelihood of the residuals by their log scales; means learn nothing from it."""
    numbers = layout.n_numbers
    residuals = (outputs[..., :numbers] - truth[..., :numbers]).detach()
    logs = logs.clamp(*LOG_SCALES)
    each = logs + 0.5 * (residuals * (-logs).exp()).square()
    return (each * weights[..., :numbers]).sum((1, 2))


class Trainer:
    """Trains a network on blocks and keeps, of each member, the weights that were best."""

    def __init__(
        self, network: Network, layout: Layout, schedule: Schedule, generator: torch.Generator,
        class_weights: torch.Tensor,
    ) -> None:  # fmt: skip
        self.network, self.layout, self.schedule = network, layout, schedule
        self.generator = generator
        self.targets = torch.from_numpy(layout.targets).to(class_weights.device)
        self.class_weights = class_weights
        self.device = class_weights.device
        # Of dates the day of the week would be lost in noise.
        self.noisy = torch.from_numpy(~layout.dates).to(self.device)
        small = [p for n, p in network.named_parameters() if n.endswith("bias") or n == "mix"]
        chosen = set(map(id, small))
        large = [p for p in network.parameters() if id(p) not in chosen]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": large, "weight_decay": schedule.weight_decay},
                {"params": small, "weight_decay": 0.0},
            ],
            lr=schedule.lr,
        )
        self.rates = None
        if not schedule.constant:
            n_rates = max(schedule.steps, 1) + 1
            # Of few steps the rate rises in one; torch cannot make it none.
            self.rates = torch.optim.lr_scheduler.OneCycleLR(
                self.optimizer, schedule.lr, total_steps=n_rates, pct_start=max(0.1, 2 / n_rates)
            )
        self.members = network.shape.members
        self.forward = torch.compile(network) if schedule.compile else network
        self.history = History()
        self.average = [p.detach().clone() for p in network.parameters()]
        self.best = [p.detach().clone() for p in network.parameters()]
        self.least = torch.full((self.members,), torch.inf, device=self.device)

    def run(
        self, blocks: Iterator[Block], per_block: int, judge: Block,
        report: Callable[[int, int, float], None],
    ) -> History:  # fmt: skip
        """Train until the steps are done, time is up, or no member gets better.

        Parameters
        ----------
        blocks : iterator of Block
            What to learn from, so many steps each.
        per_block : int
        judge : Block
            Whose cells are held out, each from the member of its fold.
        report : callable
            Called with the step, all steps and the held-out loss.
        """
        schedule, idle = self.schedule, 0
        block = next(blocks) if schedule.steps else judge
        for step in range(schedule.steps + 1):
            if step % EVERY == 0 or step == schedule.steps:
                better = self._look(judge, step)
                report(step, schedule.steps, self.history.losses[-1])
                # The rate still rises in the first steps, which look bad.
                idle = 0 if better or 2 * step < schedule.steps else idle + 1
                late = time.monotonic() > schedule.until
                if idle >= schedule.patience or late or self.history.broken:
                    break
            if step == schedule.steps:
                break
            if per_block and step and step % per_block == 0:
                block = next(blocks)
            self._step(block, step)
        with torch.no_grad():
            for parameter, best in zip(self.network.parameters(), self.best, strict=True):
                parameter.copy_(best)
        return self.history

    def _step(self, block: Block, step: int) -> None:
        generator = self.generator
        copies, rows, reading = drawn(block, self.members, self.schedule.batch_size, generator)
        batch, hidden = batch_of(block, copies, rows, self.layout, reading)
        truth = block.rows.dense[rows]
        numbers = self.layout.n_numbers
        noise = torch.randn(
            *rows.shape, numbers, generator=generator, device=self.device, dtype=torch.float32
        )
        noise = noise * (batch.seen[..., :numbers] & self.noisy)
        dense = torch.cat(
            [batch.dense[..., :numbers] + NOISE * noise, batch.dense[..., numbers:]], -1
        )
        weights = self._weights(block, rows, hidden, truth)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.schedule.amp):
            outputs, logs = self.forward(batch._replace(dense=dense), generator)
        outputs, logs = outputs.float(), logs.float()
        total = losses(self.layout, outputs, truth, weights)
        total = total + spread_loss(self.layout, outputs, logs, truth, weights)
        loss = (total / weights.sum((1, 2)).clamp(min=1.0)).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.rates is not None:
            self.rates.step()
        keep = min(SMOOTHING, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.network.parameters()), 1.0 - keep)

    def _weights(
        self, block: Block, rows: torch.Tensor, hidden: torch.Tensor, truth: torch.Tensor
    ) -> torch.Tensor:
        member = torch.arange(self.members, device=self.device)[:, None, None]
        counted = hidden & block.rows.told[rows] & self.targets & (block.folds[rows] != member)
        weights = counted * block.weight[rows][..., None]
        # What a level counts; of numbers 1.
        levels = torch.zeros_like(weights)
        owner = self.layout.owner.to(self.device)
        numbers = self.layout.n_numbers
        levels[..., :numbers] = 1.0
        levels.index_add_(-1, owner[numbers:], truth[..., numbers:] * self.class_weights[numbers:])
        return weights * levels

    @torch.no_grad()
    def _look(self, judge: Block, step: int) -> bool:
        """Compare the running mean of the weights with the best so far."""
        parameters = list(self.network.parameters())
        current = [p.detach().clone() for p in parameters]
        for parameter, average in zip(parameters, self.average, strict=True):
            parameter.copy_(average)
        loss = held_out_loss(self.network, self.layout, judge, self.targets)
        for parameter, value in zip(parameters, current, strict=True):
            parameter.copy_(value)
        if not torch.isfinite(loss).all():
            self.history.broken = True
            loss = torch.where(torch.isfinite(loss), loss, torch.inf)
        better = loss < self.least - 1e-4
        for best, average in zip(self.best, self.average, strict=True):
            best[better] = average[better]
        # Not by less: many small gains are one that counts.
        self.least = torch.where(better, loss, self.least)
        self.history.steps.append(step)
        self.history.losses.append(float(loss.mean()))
        return bool(better.any())


@torch.no_grad()
def held_out_loss(
    network: Network, layout: Layout, judge: Block, targets: torch.Tensor
) -> torch.Tensor:
    """Mean loss of each member over the cells that it never learns from."""
    members = network.shape.members
    total = torch.zeros(members, device=judge.folds.device)
    count = torch.zeros(members, device=judge.folds.device)
    member = torch.arange(members, device=judge.folds.device)[:, None, None]
    for copies, rows, reading in pieces(judge, members, layout):
        batch, hidden = batch_of(judge, copies, rows, layout, reading)
        outputs, _ = network(batch)
        own = hidden & judge.rows.told[rows] & targets & (judge.folds[rows] == member)
        total += losses(layout, outputs, judge.rows.dense[rows], own.float())
        count += own.sum((1, 2))
    return total / count.clamp(min=1.0)


def drawn(
    block: Block, members: int, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, Reading | None]:
    """Some rows of copies, so many for each member; of sequences, windows with so many rows."""
    device, n_copies = generator.device, len(block.hidden)
    if block.windows is None:
        shape = members, min(size, len(block.rows))
        n_draws = len(block.rows if block.drawn is None else block.drawn)
        rows = torch.randint(n_draws, shape, generator=generator, device=device)
        if block.drawn is not None:
            rows = block.drawn[rows]
        copies = torch.randint(n_copies, shape, generator=generator, device=device)
        return copies, rows, None
    order = torch.randperm(len(block.windows), generator=generator, device=device)
    windows = block.windows.chosen(order.cpu().numpy())
    n_windows = max(int((windows.lengths.cumsum() <= size).sum()), 1)
    reading = windows.chosen(np.arange(n_windows)).reading().to(device)
    shape = members, n_windows
    copies = torch.randint(n_copies, shape, generator=generator, device=device)
    return copies[:, reading.windows], reading.rows.expand(members, -1), reading


def rows_at_once(members: int, layout: Layout) -> int:
    """Rows of one forward pass without gradients."""
    return max(MOST_CELLS // (members * max(layout.n_outputs, 64) * 4), 1)


def scales_of(logs: torch.Tensor) -> torch.Tensor:
    """Standard deviations of what the network says."""
    return logs.clamp(*LOG_SCALES).exp()


def pieces(
    block: Block, members: int, layout: Layout
) -> Iterator[tuple[torch.Tensor, torch.Tensor, Reading | None]]:
    """All rows of all copies, for all members, so many at a time as memory allows."""
    device = block.folds.device
    n_rows = len(block.rows)
    size = rows_at_once(members, layout)
    parts: list[tuple[torch.Tensor, Reading | None]]
    if block.windows is None:
        parts = [(rows, None) for rows in torch.arange(n_rows, device=device).split(size)]
    else:
        readings = [part.reading().to(device) for part in block.windows.portions(size)]
        parts = [(reading.rows, reading) for reading in readings]
    for copy in range(len(block.hidden)):
        for rows, reading in parts:
            shown = rows.expand(members, -1)
            yield torch.full_like(shown, copy), shown, reading
