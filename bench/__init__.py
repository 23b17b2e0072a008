"""Speed and error beside peers, in one run, with the machine named: ``python -m bench``."""
