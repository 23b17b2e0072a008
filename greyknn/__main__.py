"""``python -m greyknn``: the shell command."""

from greyknn.cli import main

if __name__ == "__main__":
    main()
