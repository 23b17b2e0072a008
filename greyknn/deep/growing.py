"""A network with outputs and embeddings for levels that it did not know, else as it was."""

from __future__ import annotations

from dataclasses import replace

import torch

from greyknn.deep.layout import Layout
from greyknn.deep.network import Network


@torch.no_grad()
def grown(network: Network, old: Layout, new: Layout, generator: torch.Generator) -> Network:
    """The network laid out anew; what it said about known levels, it says of them still.

    Parameters
    ----------
    network : Network
        Laid out by ``old``.
    old, new : Layout
        ``new`` has the columns of ``old``, and as many or more levels.
    generator : Generator
        Draws new embeddings.
    """
    shape = replace(network.shape, n_embeddings=new.n_embeddings)
    larger: Network = Network(new, shape, generator).to(next(network.parameters()).device)
    outputs = _places([block.stop - block.start for block in old.blocks],
                      [block.stop - block.start for block in new.blocks])  # fmt: skip
    n_priors, n_shown = shape.n_priors, old.n_numbers + old.n_cells
    before = n_shown + n_priors * old.n_outputs
    inputs = [torch.arange(n_shown)]
    inputs += [n_shown + p * new.n_outputs + outputs for p in range(n_priors)]
    after = n_shown + n_priors * new.n_outputs
    rows = _places(old.n_embeddings, new.n_embeddings)
    known = dict(network.named_parameters())
    for name, parameter in larger.named_parameters():
        value = known[name]
        along: list[torch.Tensor | None] = [None] * value.ndim
        if name.startswith(("head.", "line.", "mix")):
            along[-1] = outputs
        if name == "line.weight" or (
            name == "body.0.weight"
            or (name in ("head.weight", "spread.weight") and shape.depth == 0)
        ):
            rest = torch.arange(value.shape[1] - before)
            along[1] = torch.cat([*inputs, after + rest])
        if name == "embedded.table":
            along[1] = rows
        if any(place is not None for place in along):
            if not name.startswith(("mix", "embedded")):
                parameter.zero_()
            places = [
                torch.arange(size) if place is None else place
                for place, size in zip(along, value.shape, strict=True)
            ]
            parameter[torch.meshgrid(*places, indexing="ij")] = value
        else:
            parameter.copy_(value)
    return larger


def _places(old: list[int] | tuple[int, ...], new: list[int] | tuple[int, ...]) -> torch.Tensor:
    """Where each entry of blocks side by side stands after the blocks have grown at their ends."""
    places, begin = [], 0
    for narrow, wide in zip(old, new, strict=True):
        places.append(begin + torch.arange(narrow))
        begin += wide
    return torch.cat(places) if places else torch.zeros(0, dtype=torch.int64)
