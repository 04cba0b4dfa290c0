"""What each rule of the resolver is in words, for messages and for results."""

from __future__ import annotations

from ovlctl.overlay.resolution import Rule

#: Each can stand after a colon, and holds no braces.
RULES = {
    Rule.ROOT: "the root of the view shows every layer's root",
    Rule.ONLY_ONE: "only one layer has the name",
    Rule.TOPMOST: "the topmost layer that has the name provides it",
    Rule.MERGED: "directories of this name are merged; the topmost gives owner, mode and times",
    Rule.OPAQUE: "the directory is opaque, so that what the layers below have at this name is left out",
    Rule.REDIRECTED: "the directory was renamed: below, it is merged with what its redirect names",
    Rule.METACOPY: "the topmost layer has the metadata only; the content is further down",
    Rule.NOWHERE: "no layer has the name in this directory",
    Rule.WHITEOUT: "a whiteout says that the name is gone",
    Rule.PARENT_ABSENT: "a directory on the way does not exist",
    Rule.PARENT_NOT_DIRECTORY: "something on the way is no directory",
    Rule.NAME_TOO_LONG: "a name of more than 255 bytes cannot exist",
    Rule.REDIRECT_INVALID: "its redirect is neither a name nor a path from the root",
    Rule.REDIRECT_NOT_FOLLOWED: "it has a redirect, and this stack follows none (redirect_dir=nofollow, or userxattr)",
    Rule.REDIRECT_REFUSED: "its redirect has a component that the kernel refuses to look up",
    Rule.REDIRECT_LOOP: "its redirect leads back to a directory that it lies in",
    Rule.METACOPY_NOT_FOLLOWED: "it has metadata only, and this stack follows no such files (metacopy is off)",
    Rule.METACOPY_WITHOUT_DATA: "it has metadata only, and no layer below has its data",
    Rule.METACOPY_INVALID: "its mark metacopy is damaged",
    Rule.INDEXED: "another name of the same lower file was copied up, and the index leads from this one to it",
    Rule.INDEX_WRONG: "the index has something else for this file than a copy of it",
    Rule.ORIGIN_DIFFERS: "it has metadata only, and what is below is not what it was copied up from (index=on)",
    Rule.ORIGIN_OTHER_KIND: "its mark origin leads to an object of another kind, and this kernel refuses that",
    Rule.OVERLAPPING: "the upper or its work directory lies in this lower, and the kernel refuses to look into it",
    Rule.UNREADABLE: "what decides could not be read",
}
