"""How commands talk: errors and warnings as one line each on stderr, and exit codes."""

from __future__ import annotations

import re
import sys
import traceback as tracebacks
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": " ", "pipe": "|"}


class Shell(click.Group):
    """Commands whose every error is one line on stderr: exit code 2, 1, or 130 after Ctrl-C."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit."""
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}))
        except click.ClickException as error:
            message = error.format_message()
            if isinstance(error, click.UsageError) and error.ctx is not None:
                message += f" See: {error.ctx.command_path} --help"
            click.echo(f"greyknn: error: {message}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("greyknn: interrupted", err=True)
            sys.exit(130)


class Failure(click.ClickException):
    """A foreseeable error with an exit code of its own."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


def neighbors(ctx: Any, param: Any, value: str) -> int | str:
    """A number of neighbours, or how to choose it."""
    if value in ("cv", "masked"):
        return value
    if not re.fullmatch(r"0*[1-9]\d*", value, re.ASCII):
        raise click.BadParameter(f"{value!r} is neither a number from 1 on nor cv nor masked.")
    return int(value)


def separator(ctx: Any, param: Any, value: str | None) -> str | None:
    """One character, or its name."""
    sign = SEPARATORS.get(value or "", value)
    if sign is not None and (len(sign) != 1 or sign in '"\r\n'):
        raise click.BadParameter(f"{value!r} is not one character, nor {', '.join(SEPARATORS)}.")
    return sign


@contextmanager
def complaining(traceback: bool) -> Iterator[None]:
    """Make one line of each warning and each foreseeable error.

    Bad input exits with 2, work that fails nevertheless (no memory, no device, full disk) with 1.

    Parameters
    ----------
    traceback : bool
        Whether errors show where in the program they came from.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_: click.echo(
                f"greyknn: warning: {_line(message)}", err=True
            )
            yield
    except (BrokenPipeError, click.Abort):  # a closed pipe is click's business
        raise
    except (ValueError, TypeError, ImportError, RuntimeError, OSError, MemoryError) as error:
        if traceback:
            tracebacks.print_exc()
        message = _line(error) or type(error).__name__
        if re.search("drop (it|the column)", message):  # as a column of dates
            message += " Or leave the column as it is with --ignore."
        failed = isinstance(error, RuntimeError | OSError | MemoryError)
        raise Failure(message, 1 if failed else 2) from error


OPTIONS = {
    r"n_neighbors=": "--k ",
    r"max_iter=": "--max-iter ",
    r"\bmax_iter\b": "--max-iter",
    r"\btol=": "--tol ",
    r"\btol\b": "--tol",
    r"donors='observed'": "--donors observed",
    r"keep_empty_features=True": "--keep-empty",
    r"\((groups|time)=\)": r"(--\1)",
    r" A smaller lr may help\.": "",
    r"device='([\w:]+)'": r"--device \1",
    r"(--device \w+) or '(\w+)'": r"\1 or \2",
    r"method='(\w+)'": r"--method \1",
}
"""What the engine's parameters are called in the shell."""


def _line(message: object) -> str:
    line = " ".join(str(message).split())
    for parameter, option in OPTIONS.items():
        line = re.sub(parameter, option, line)
    return line
