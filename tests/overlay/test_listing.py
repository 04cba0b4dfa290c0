"""Listings: hidden entries on request, and what became of each layer's object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.overlay.merged import Entry, listing, walk
from ovlctl.overlay.options import Options, RedirectDir
from ovlctl.overlay.resolution import Resolution, Verdict
from tests.overlay.made import Case, directory, file, link, whiteout

if TYPE_CHECKING:
    from ovlctl.overlay.resolver import Resolver

TOP = {
    "gone": whiteout(),
    "file": file(b"top"),
    "opaque": directory(opaque=b"y"),
    "opaque/new": file(),
    "flat": file(),
    "moved": directory(redirect=b"/was"),
    "alone": directory(),
    "alone/wh": whiteout(),
}
LOW = {
    "gone": file(b"gone"),
    "file": file(b"low"),
    "opaque/old": file(),
    "opaque/deep/x": file(),
    "flat/inside": file(),
    "was/f": file(),
    "moved/other": file(),
    "link": link("/etc"),
}


def _resolver() -> Resolver:
    return Case(lowers=(TOP, LOW), options=Options(redirect_dir=RedirectDir.FOLLOW)).in_memory()


def _names(resolver: Resolver, path: str, *, hidden: bool = False) -> dict[str, Resolution]:
    entries = listing(resolver, resolver.resolve(path), hidden=hidden)
    return {entry.name: entry.resolution for entry in entries if isinstance(entry, Entry)}


def _verdicts(found: Resolution) -> list[tuple[int, str, Verdict]]:
    return [(seen.place.layer.index, seen.place.path, seen.verdict) for seen in found.candidates]


def test_what_is_there() -> None:
    """Each name once; of a directory that does not merge, whiteouts are listed and do not exist."""
    resolver = _resolver()
    assert set(_names(resolver, "")) == {"file", "opaque", "flat", "moved", "alone", "was", "link"}
    assert set(_names(resolver, "opaque")) == {"new"}
    assert set(_names(resolver, "moved")) == {"f"}
    (entry,) = listing(resolver, resolver.resolve("alone"))
    assert isinstance(entry, Entry)
    assert entry.listed
    assert not entry.resolution.exists
    assert _names(resolver, "file") == {}
    assert _names(resolver, "nowhere") == {}


def test_hidden_entries() -> None:
    """Whited-out names, and those of directories that the merge leaves out, come with the reason."""
    resolver = _resolver()
    root = _names(resolver, "", hidden=True)
    assert _verdicts(root["gone"]) == [(0, "gone", Verdict.WHITEOUT), (1, "gone", Verdict.WHITED_OUT)]
    assert _verdicts(root["file"]) == [(0, "file", Verdict.PROVIDES), (1, "file", Verdict.SHADOWED)]
    assert _verdicts(root["flat"]) == [(0, "flat", Verdict.PROVIDES), (1, "flat", Verdict.SHADOWED)]
    assert _verdicts(root["link"]) == [(1, "link", Verdict.PROVIDES)]
    assert _verdicts(root["opaque"]) == [(0, "opaque", Verdict.PROVIDES), (1, "opaque", Verdict.BEHIND_OPAQUE)]
    assert _verdicts(root["moved"]) == [
        (0, "moved", Verdict.PROVIDES),
        (1, "was", Verdict.MERGED),
        (1, "moved", Verdict.REDIRECTED_AWAY),
    ]
    moved = _names(resolver, "moved", hidden=True)
    assert set(moved) == {"f", "other"}
    assert _verdicts(moved["other"])[-1] == (1, "moved/other", Verdict.PARENT_HIDDEN)
    assert not moved["other"].exists
    opaque = _names(resolver, "opaque", hidden=True)
    assert set(opaque) == {"new", "old", "deep"}
    assert _verdicts(opaque["old"]) == [(1, "opaque/old", Verdict.PARENT_HIDDEN)]
    assert not opaque["old"].exists


def test_a_path_below_what_hides_it() -> None:
    """Below a file, and below an opaque directory, the layers' own objects are shown with the reason."""
    resolver = _resolver()
    found = resolver.resolve("flat/inside", complete=True)
    assert _verdicts(found) == [(0, "flat/inside", Verdict.ABSENT), (1, "flat/inside", Verdict.PARENT_HIDDEN)]
    found = resolver.resolve("opaque/deep/x", complete=True)
    assert _verdicts(found) == [(0, "opaque/deep/x", Verdict.ABSENT), (1, "opaque/deep/x", Verdict.PARENT_HIDDEN)]


def test_walk_comes_to_everything_once() -> None:
    """Every path below the root, a directory's entries before what is in them."""
    paths = [entry.resolution.path for entry in walk(_resolver()) if isinstance(entry, Entry)]
    assert sorted(paths) == sorted(
        ["file", "opaque", "opaque/new", "flat", "moved", "moved/f", "alone", "alone/wh", "was", "was/f", "link"]
    )
    assert len(set(paths)) == len(paths)
    assert all(paths.index(path.rpartition("/")[0]) < paths.index(path) for path in paths if "/" in path)
