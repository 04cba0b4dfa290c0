"""What the stacks of a file stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.ops.sets import file
from ovlctl.ops.sets.graph import graph
from ovlctl.ops.sets.resolve import wish
from ovlctl.ops.state import State

if TYPE_CHECKING:
    from ovlctl.ops.sets.declared import StackFile

_STATE = State(run="/s/run", keep="/s/keep")


def _file(**stacks: str) -> StackFile:
    """A stack file with these stacks, each given by what follows its header."""
    text = "".join(f"[stack.{name}]\n{body}\n" for name, body in stacks.items())
    return file.parse(text.encode(), "/f/s.toml")


def test_order() -> None:
    """A stack comes after those it stands on, and else where it stands in the file."""
    drawn = graph(
        _file(
            top='lowers = [{stack = "mid"}]',
            other='lowers = ["x"]',
            late='lowers = [{layers = "mid"}]\ntarget = "/m/inside"',
            mid='lowers = ["y"]\ntarget = "/m"',
        )
    )
    assert [stack.name for stack in drawn.order] == ["mid", "top", "other", "late"]
    assert drawn.mounted_first["top"] == drawn.mounted_first["late"] == {"mid"}
    assert drawn.mounted_first["other"] == drawn.mounted_first["mid"] == frozenset()
    assert drawn.with_grounds(["top"]) == {"top", "mid"}


def test_layers_need_no_mount() -> None:
    """Whoever takes another stack's layers does not wait for its mount, unless these lie on a third one."""
    drawn = graph(
        _file(
            a='lowers = [{layers = "b"}, "x"]',
            b='lowers = ["y"]',
            c='lowers = [{layers = "d"}, "x"]',
            d='lowers = [{stack = "b"}]',
        )
    )
    assert drawn.mounted_first["a"] == frozenset()
    assert drawn.mounted_first["c"] == {"b"}


def test_directories_below_a_target() -> None:
    """A lower, an upper or a target below another stack's target stands on that stack; names are compared whole."""
    drawn = graph(
        _file(
            low='lowers = ["/m/usr", "x"]',
            up='lowers = ["x"]\nupper = {dir = "/m/u", work = "/m/w"}',
            point='lowers = ["x"]\ntarget = "/m/p"',
            beside='lowers = ["/merged"]',
            m='lowers = ["y"]\ntarget = "/m"',
        )
    )
    assert {name for name, first in drawn.mounted_first.items() if first == {"m"}} == {"low", "up", "point"}
    assert drawn.order[0].name == "m"


@pytest.mark.parametrize(
    ("stacks", "circle"),
    [
        ({"a": 'lowers = [{stack = "a"}]'}, "a on a"),
        ({"a": 'lowers = [{stack = "b"}]', "b": 'lowers = [{layers = "a"}]'}, "a on b on a"),
        (
            {
                "x": 'lowers = [{stack = "a"}]',
                "a": 'lowers = [{stack = "b"}]',
                "b": 'lowers = ["/c/d"]',
                "c": 'lowers = ["l"]\ntarget = "/c"\ndata_only = [{layers = "a"}]',
            },
            "a on b on c on a",
        ),
    ],
    ids=["itself", "two", "three, by a path and by data-only layers"],
)
def test_circles(stacks: dict[str, str], circle: str) -> None:
    """Stacks that wait for each other are refused, with the circle once round."""
    with pytest.raises(errors.StacksInCircle) as caught:
        graph(_file(**stacks))
    assert caught.value.message(str).endswith(circle)


def test_two_levels_are_the_limit() -> None:
    """A third overlay on top of two is refused before anything is mounted, and its layers offered instead."""
    two = {"a": 'lowers = ["x"]\ntarget = "/a"', "b": 'lowers = [{stack = "a"}]\ntarget = "/b"'}
    graph(_file(**two, c='lowers = [{layers = "b"}]'))
    graph(_file(**two, c='lowers = ["y"]\ntarget = "/b/point"'))
    for third in (
        'lowers = ["y", {stack = "b"}]',
        'lowers = ["/b/dir"]',
        'lowers = ["y"]\ndata_only = [{stack = "b"}]',
    ):
        with pytest.raises(errors.StackTooDeep, match="c stands on b, which stands on a") as caught:
            graph(_file(**two, c=third))
        assert caught.value.hint() == 'let c take {layers = "b"} instead of the merged view'


def test_undeclared_names() -> None:
    """A stack that is named and not declared is answered by the nearest name, or by all there are."""
    with pytest.raises(errors.StackUndeclared, match="which b names as a layer") as caught:
        graph(_file(base='lowers = ["x"]', b='lowers = [{stack = "bsae"}]'))
    assert caught.value.hint() == "did you mean `base`?"
    with pytest.raises(errors.StackUndeclared) as caught:
        graph(_file(base='lowers = ["x"]')).with_grounds(["zzz"])
    assert caught.value.hint() == "it declares base"


def test_layers_bring_their_data() -> None:
    """The layers of a stack are its lowers; its data-only lowers come along, each once."""
    declared = _file(
        a='lowers = ["x", {layers = "b"}]\ndata_only = ["d"]',
        b='lowers = ["y", {layers = "c"}]\ndata_only = ["e"]',
        c='lowers = ["z"]\ndata_only = ["d", "f"]',
        d='lowers = ["x", {stack = "b"}]\ndata_only = [{layers = "c"}]',
    )
    found = wish(declared, "a", _STATE).stack
    assert found.lowers == ("/f/x", "/f/y", "/f/z")
    assert found.data_only == ("/f/d", "/f/e", "/f/f")
    found = wish(declared, "d", _STATE).stack
    assert found.lowers == ("/f/x", "/s/keep/stacks/b/merged")
    assert found.data_only == ("/f/d", "/f/f")
