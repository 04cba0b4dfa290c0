"""What ``import ovlctl`` promises."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import ovlctl


def test_every_public_name_is_there() -> None:
    """Each name of __all__ can be had, and is the one that its home defines."""
    for name in ovlctl.__all__:
        assert getattr(ovlctl, name) is not None
    assert set(ovlctl.__all__) <= set(dir(ovlctl))
    assert not hasattr(ovlctl, "nonsense")


def test_type_checkers_see_the_same_names() -> None:
    """The imports for type checkers, the table for run time and __all__ agree."""
    assert ovlctl.__file__ is not None
    with open(ovlctl.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname or alias.name: f"{node.module}:{alias.name}" if alias.asname else node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == ovlctl._HOMES  # noqa: SLF001 -- the table under test
    assert sorted([*typed, "__version__"]) == sorted(ovlctl.__all__)


def test_importing_costs_next_to_nothing() -> None:
    """``import ovlctl`` loads no floor; that happens when a name is used."""
    code = "import sys, ovlctl; print(*[name for name in sys.modules if name.startswith('ovlctl.')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=_PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ovlctl.version"]


_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_the_library_loads_no_command_line() -> None:
    """Every public name can be used without Typer, rich, or a module of ovlctl.cli or ovlctl.show being imported."""
    code = "import sys, ovlctl; [getattr(ovlctl, name) for name in ovlctl.__all__]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ovlctl.ops.mounting" in loaded
    assert not {"typer", "rich", "ovlctl.cli", "ovlctl.show"} & set(loaded)
