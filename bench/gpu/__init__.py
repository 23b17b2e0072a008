"""Everything that only a GPU can tell, in one command: ``python -m bench.gpu``.

Each part runs in a process of its own: what it does to the GPU, or how long it takes, is no matter
to the others, and what it had measured before it failed is kept.
"""
