"""``python -m greyknn``: the shell command."""

from greyknn.cli import main

if __name__ == "__main__":  # pragma: no cover - run in a process of its own
    main()
