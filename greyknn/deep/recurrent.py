"""Recurrent layers that read windows in both directions, all members in one batched product."""

from __future__ import annotations

import math

import torch
from torch import nn

from greyknn.deep.sequences import Reading

GATES = {"gru": 3, "lstm": 4}


class Recurrent(nn.Module):
    """A gated recurrent unit (Cho et al. 2014) or long short-term memory, there and back.

    Own loops rather than torch's modules: these know no members, draw their weights from the
    global generator, and took twice the time for three members on a processor.

    Parameters
    ----------
    inputs, hidden : int
        Width of a row, and of each direction's state.
    cell : {"gru", "lstm"}
    """

    def __init__(
        self, members: int, inputs: int, hidden: int, cell: str, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.cell, self.hidden = cell, hidden
        width = GATES[cell] * hidden

        def draw(rows: int) -> nn.Parameter:
            bound = 1.0 / math.sqrt(rows)
            weight = torch.empty(members, 2, rows, width)
            return nn.Parameter(weight.uniform_(-bound, bound, generator=generator))

        self.weight, self.state_weight = draw(inputs), draw(hidden)
        self.bias = nn.Parameter(torch.zeros(members, 2, 1, width))
        self.state_bias = nn.Parameter(torch.zeros(members, 2, 1, width))

    def forward(self, inputs: torch.Tensor, reading: Reading) -> torch.Tensor:
        """States of both directions at every row.

        Parameters
        ----------
        inputs : (n_members, n_rows, width)
            Rows in the order of the reading.

        Returns
        -------
        (n_members, n_rows, 2 * hidden)
        """
        # Seen from the back, too, a window begins at the first step, so that both directions run
        # in the same loop and no window reads what is not its own.
        both = torch.stack([inputs, inputs[:, reading.mirror]], 1).flatten(0, 1)
        asked = torch.baddbmm(self.bias.flatten(0, 1), both, self.weight.flatten(0, 1))
        weight, bias = self.state_weight.flatten(0, 1), self.state_bias.flatten(0, 1)
        state = asked.new_zeros(len(asked), reading.sizes[0], self.hidden)
        memory, states = state, []
        # Once split, the gradient is put together once, not step by step.
        for part in asked.split(reading.sizes, 1):
            n_windows = part.shape[1]
            state, memory = state[:, :n_windows], memory[:, :n_windows]
            own = torch.baddbmm(bias, state, weight)
            if self.cell == "gru":
                state = self._gru(part, own, state)
            else:
                state, memory = self._lstm(part + own, memory)
            states.append(state)
        there, back = torch.cat(states, 1).unflatten(0, (-1, 2)).unbind(1)
        return torch.cat([there, back[:, reading.mirror]], -1)

    def _gru(self, asked: torch.Tensor, own: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        hidden = self.hidden
        asked_gates, asked_new = asked.split([2 * hidden, hidden], -1)
        own_gates, own_new = own.split([2 * hidden, hidden], -1)
        reset, keep = (asked_gates + own_gates).sigmoid().chunk(2, -1)
        return torch.lerp(torch.addcmul(asked_new, reset, own_new).tanh(), state, keep)

    def _lstm(self, gates: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        opened, new = gates.split([3 * self.hidden, self.hidden], -1)
        write, keep, show = opened.sigmoid().chunk(3, -1)
        memory = torch.addcmul(write * new.tanh(), keep, memory)
        return show * memory.tanh(), memory
