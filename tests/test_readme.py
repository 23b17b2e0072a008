"""The README's examples say what they claim to say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import greyknn.api
import greyknn.imputer
from greyknn.cli import main

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.jit
def test_readme() -> None:
    result = doctest.testfile(str(README), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted >= 10
    assert result.failed == 0


@pytest.mark.parametrize("module", [greyknn.api, greyknn.imputer])
def test_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted >= 3
    assert result.failed == 0


def test_commands_of_the_readme_exist() -> None:
    text = README.read_text()
    targets = set(re.findall(r"^make ([a-z-]+)", text, flags=re.M))
    makefile = (README.parent / "Makefile").read_text()
    assert {"demo", "test", "help"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.M), target
    commands = set(re.findall(r"^greyknn ([a-z]+)", text, flags=re.M))
    assert commands
    assert commands <= set(main.commands)
