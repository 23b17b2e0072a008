"""The tables and figures of Choudhury & Kosorok (arXiv 2002.10709), measured again.

    python -m bench.paper --data FOLDER

``printed.py`` has the paper's numbers and ``problems.py`` its tables with the cells that go,
drawn by ``simulation.py`` where the paper simulates. ``scoring.py`` scores a fill, ``tables.py``
sets ours beside the printed numbers, ``pictures.py`` draws.
"""
