"""What a stack of the machine is made of: lowers and options by chance."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ovlctl.overlay import rules
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, Xino
from ovlctl.overlay.tree import Kind
from tests import capabilities
from tests.overlay.made import Made, write_layer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypothesis.vendor.pretty import RepresentationPrinter

#: Short, odd, and not UTF-8; the same few everywhere, so that layers meet.
NAMES = ("a", "b", "c", os.fsdecode(b" \xff\n\\:,"))

names = st.sampled_from([*NAMES[:3], *NAMES])
contents = st.sampled_from([b"", b"x", b"some", b"more than some"])
attributes = st.sampled_from(
    [
        "user.plain",
        "user.overlay.opaque",
        "trusted.plain",
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "trusted.overlay.overlay.whiteout",
        "security.plain",
    ]
)
values = st.sampled_from([b"", b"y", b"/a", b"\0\xff\n"])
modes = st.sampled_from([0o644, 0o600, 0o755, 0, 0o4755, 0o2770, 0o1777])
owners = st.sampled_from([0, 1000, 4_000_000_000])
devices = st.sampled_from([os.makedev(1, 3), os.makedev(0, 1), os.makedev(200, 300)])

_paths = st.lists(names, min_size=1, max_size=3).map("/".join)
# A lower may be on tmpfs, which keeps no attributes of users on old kernels.
_kept = ("user.plain", "trusted.plain") if capabilities.user_xattrs_in_memory() else ("trusted.plain",)
_xattrs: st.SearchStrategy[dict[str, bytes]] = st.one_of(
    st.just({}), st.just({}), st.fixed_dictionaries(dict.fromkeys(_kept, values))
)
_objects = st.one_of(
    st.builds(Made, mode=modes, content=contents, xattrs=_xattrs),
    st.builds(Made, mode=modes, content=contents, xattrs=_xattrs),
    st.builds(Made, kind=st.just(Kind.DIRECTORY), mode=modes, xattrs=_xattrs),
    st.builds(Made, kind=st.just(Kind.SYMLINK), target=st.sampled_from(["a", "../b", "/etc/passwd"])),
    st.builds(Made, kind=st.sampled_from([Kind.FIFO, Kind.SOCKET]), mode=modes),
    st.builds(Made, kind=st.sampled_from([Kind.CHARACTER, Kind.BLOCK]), mode=modes, rdev=devices),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lower:
    """A layer as somebody wrote it who knows nothing of overlays.

    Attributes:
        things: By path.
        links: More names of what is not a directory: new path to old.
    """

    things: Mapping[str, Made]
    links: Mapping[str, str] = field(default_factory=dict)

    def _repr_pretty_(self, printer: RepresentationPrinter, _cycle: object) -> None:
        # For hypothesis: what it takes to make it again by hand.
        made = [
            f"{path!r} {one.kind} {one.mode:#o} {one.content!r} {one.rdev} {dict(one.xattrs)}"
            for path, one in self.things.items()
        ]
        links = [f"{new!r} link {old!r}" for new, old in self.links.items()]
        printer.text(f"Lower({'; '.join([*made, *links])})")

    def write(self, directory: str) -> str:
        """Write it to the new *directory*."""
        write_layer(directory, self.things)
        for new, old in self.links.items():
            os.link(f"{directory}/{old}", f"{directory}/{new}", follow_symlinks=False)
        return directory


@st.composite
def lowers(draw: st.DrawFn) -> Lower:
    """A lower: some objects, the directories above them, and some more names of the objects."""
    things: dict[str, Made] = {}
    for path in draw(st.lists(_paths, max_size=6, unique=True)):
        above = [path[:cut] for cut, char in enumerate(path) if char == "/"]
        if path in things or any(at in things and things[at].kind is not Kind.DIRECTORY for at in above):
            continue
        things.update({at: Made(kind=Kind.DIRECTORY, mode=0o755) for at in above if at not in things})
        things[path] = draw(_objects)
    links: dict[str, str] = {}
    linked = sorted(path for path, made in things.items() if made.kind is not Kind.DIRECTORY)
    directories = ["", *sorted(path for path, made in things.items() if made.kind is Kind.DIRECTORY)]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2])) if linked else 0):
        new = "/".join(filter(None, (draw(st.sampled_from(directories)), draw(names))))
        if new not in things and new not in links:
            links[new] = draw(st.sampled_from(linked))
    return Lower(things=things, links=links)


def _legal(options: Options) -> bool:
    return not any(rules.conflicts(options, has_upper=True, trusted_xattrs=True))


options = st.builds(
    Options,
    redirect_dir=st.sampled_from([None, RedirectDir.ON, RedirectDir.ON, RedirectDir.NOFOLLOW, RedirectDir.FOLLOW]),
    metacopy=st.sampled_from([Switch.OFF, Switch.ON]),
    index=st.sampled_from([None, Switch.OFF, Switch.ON]),
    userxattr=st.sampled_from([Flag.NO, Flag.NO, *([Flag.YES] if capabilities.userxattr() else [])]),
    nfs_export=st.sampled_from([Switch.OFF, Switch.OFF, Switch.ON]),
    xino=st.sampled_from(Xino),
).filter(_legal)
