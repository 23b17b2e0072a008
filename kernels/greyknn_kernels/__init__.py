"""The loops of greyknn: one formula, one packing, one file of loops per device."""
