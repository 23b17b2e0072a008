"""All benchmarks that need no data of the user's; with --data FOLDER also those that do."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import cross_fit, fill_tables, growth, paper_tables, search, whole

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with csv files and datasets.json")
    folder = parser.parse_args().data
    search.main()
    whole.main()
    growth.grow(folder)
    paper_tables.main()
    if folder is not None:
        fill_tables.fill_all(folder)
        cross_fit.compare(folder)
