"""A tree that follows what is done in it, as a scan would find it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops import reading
from ovlctl.ops.atlas import scan
from ovlctl.ops.atlas.atlas import Flag
from ovlctl.ops.atlas.relisting import below_another, relisted
from ovlctl.ops.atlas.totals import counted
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, Wish
from tests.capabilities import each_options, needs_root
from tests.ops.trying.stacks import OPTIONS, used

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.trying.stage import Stage
    from ovlctl.overlay.options import Options

pytestmark = needs_root

_WISHES = (
    Wish(action=Action.MODIFY, path="dir/sub/x"),
    Wish(action=Action.CREATE, path="dir/sub/new"),
    Wish(action=Action.MKDIR, path="a new directory"),
    Wish(action=Action.CREATE, path="a new directory/in it"),
    Wish(action=Action.DELETE, path="low"),
    Wish(action=Action.DELETE, path="pure"),
    Wish(action=Action.CREATE, path="low"),
    Wish(action=Action.CHMOD, path="merged", mode=0o700),
    Wish(action=Action.RENAME, path="both", to="dir/moved"),
    Wish(action=Action.LINK, path="changed", to="opaque/again"),
    Wish(action=Action.DELETE, path="empty"),
    Wish(action=Action.MODIFY, path="pure dir/in/f"),
    Wish(action=Action.RENAME, path="mixed dir", to="elsewhere"),
    Wish(action=Action.CREATE, path="nowhere/x"),
)


def _rows(atlas: Atlas) -> Iterator[tuple[object, ...]]:
    for row in range(len(atlas)):
        flags = Flag(atlas.flags[row])
        path = atlas.path(row)
        yield (
            path,
            atlas.kinds[row],
            atlas.signs[row],
            int(flags),
            atlas.providers[row],
            atlas.sizes[row],
            atlas.depths[row],
            atlas.path(atlas.ends[row] - 1),
            tuple(atlas.covered_at(row)),
        )


def _follow(atlas: Atlas, ground: Stage, path: str, fresh: frozenset[str] = frozenset()) -> Atlas:
    with reading.opened(ground.subject) as view:
        parts = path.split("/")
        for end in range(len(parts)):
            directory = "/".join(parts[:end])
            row = atlas.find(directory)
            if row is None or not view.resolver.resolve(directory).is_directory:
                break
            names = frozenset({parts[end]}) if directory in fresh else frozenset()
            atlas = relisted(atlas, row, scan.merged(view, directory, depth=1)[0], names)
    return atlas


def _same_but_for_unread(found: Atlas, whole: Atlas) -> None:
    unread = [f"{found.path(row)}/" for row in range(len(found)) if found.flags[row] & Flag.UNREAD]
    expected = [row for row in _rows(whole) if not str(row[0]).startswith(tuple(unread))]
    ours = list(_rows(found))
    assert [row[0] for row in ours] == [row[0] for row in expected]
    for one, other in zip(ours, expected, strict=True):
        if f"{one[0]}/" not in unread:
            assert one == other


@pytest.mark.parametrize("options", each_options(OPTIONS))
def test_the_tree_follows_what_is_done(scratch: str, options: Options) -> None:
    """Only the directories on the way are listed, and all of the tree is as a scan of the scratch stack has it."""
    stack = used(scratch, options)
    subject = reading.of_directories(stack)
    with ExitStack() as closing:
        ground = closing.enter_context(stage(subject, directory=scratch))
        with reading.opened(subject) as view:
            atlas = below_another(scan.merged(view)[0])
        for wish in _WISHES:
            deed = ground.do(wish)
            for path in filter(None, (wish.path, wish.to)):
                atlas = _follow(atlas, ground, path)
            with reading.opened(ground.subject) as view:
                whole, summary = scan.merged(view)
            _same_but_for_unread(atlas, whole)
            if not deed.errno and wish.action is Action.CHMOD:
                assert counted(whole) == summary
            assert {each.name for each in fields(atlas)} == {each.name for each in fields(whole)}
