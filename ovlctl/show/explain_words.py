"""What each verdict, mark and reason of an explanation is in words."""

from __future__ import annotations

from ovlctl.ops.explain.terms import Because, Ground, Remark, Staleness
from ovlctl.overlay.resolution import Verdict
from ovlctl.overlay.tree import Kind

KINDS = {
    Kind.FILE: "a regular file",
    Kind.DIRECTORY: "a directory",
    Kind.SYMLINK: "a symbolic link",
    Kind.CHARACTER: "a character device",
    Kind.BLOCK: "a block device",
    Kind.FIFO: "a fifo",
    Kind.SOCKET: "a socket",
}

VERDICTS = {
    Verdict.PROVIDES: "provides it",
    Verdict.MERGED: "merged into it",
    Verdict.DATA: "has its data",
    Verdict.METADATA_ONLY: "metadata only: the search for data goes on below",
    Verdict.ABSENT: "nothing",
    Verdict.WHITEOUT: "the name is gone, and nothing below counts",
    Verdict.NOT_DIRECTORY: "no directory, where one was wanted: nothing below counts",
    Verdict.NOT_FILE: "no regular file, where data were wanted: nothing below counts",
    Verdict.SHADOWED: "hidden: a layer above has the name",
    Verdict.WHITED_OUT: "hidden: a layer above has a whiteout",
    Verdict.BEHIND_OPAQUE: "hidden: the directory above is opaque",
    Verdict.BEHIND_NOT_DIRECTORY: "hidden: a layer above has something that is no directory",
    Verdict.PARENT_HIDDEN: "hidden: the directory it lies in is no part of the view",
    Verdict.REDIRECTED_AWAY: "left out: a redirect above leads elsewhere",
    Verdict.NOT_ORIGIN: "left out: not what the upper's was copied up from",
    Verdict.REFUSED: "refused by the kernel",
    Verdict.UNREADABLE: "could not be read",
}

#: What hides a directory on the way.
HIDERS = {
    Verdict.SHADOWED: "what is in its place",
    Verdict.WHITED_OUT: "the whiteout",
    Verdict.WHITEOUT: "the whiteout",
    Verdict.BEHIND_OPAQUE: "the opaque directory",
    Verdict.BEHIND_NOT_DIRECTORY: "what is no directory",
    Verdict.NOT_DIRECTORY: "the directory",
    Verdict.PARENT_HIDDEN: "what is above it",
    Verdict.REDIRECTED_AWAY: "the redirect",
    Verdict.NOT_ORIGIN: "the mark origin of the directory above",
}

BECAUSE = {
    Because.ORIGIN: "the copy keeps the handle of what it was made from (mark origin)",
    Because.UPPERS_OWN: "it is the number of the upper's own object",
    Because.LOWERS_OWN: "nothing is ever copied up here",
    Because.MERGED: "the part below is found by its path",
    Because.INDEXED: "the index ties all names to one file (index=on)",
    Because.HARD_LINK: "this name becomes a file of its own, as it has other names and index is off",
    Because.DIRECTORY_WITHOUT_XINO: "directories get a passing number where layers are on several file systems and "
    "xino is off",
    Because.NUMBER_TOO_BIG: "the number leaves no room for the bits that xino adds",
    Because.NO_HANDLES: "the lower's file system gives no file handles to find it again by",
    Because.NO_UUID: "the lower's file system has no uuid to know it by",
    Because.SAME_UUID: "two lower file systems have the same uuid, so that the kernel trusts neither",
    Because.NO_RIGHT_TO_HANDLES: "a mount made without root may open nothing by its handle",
    Because.NO_MARK_POSSIBLE: "with userxattr only files and directories can carry the mark origin",
    Because.ORIGIN_UNKNOWN: "what it was copied from cannot be found",
    Because.FILE_SYSTEM_UNKNOWN: "the file systems of the layers cannot be told",
}

REMARKS = {
    Remark.READ_ONLY: "the stack is read-only",
    Remark.IN_UPPER: "it is in the upper already",
    Remark.DATA_ONLY_MISSING: "the upper has its metadata already",
    Remark.LINKED_FROM_INDEX: "the upper has the file under another name, and gets a link to it",
    Remark.COPIED_FOR_THE_INDEX: "the index counts names, so that the file is copied up even to remove one",
    Remark.FOLLOWS_LINK: "open follows the link: ask for what it points to",
    Remark.COPIES_LINK: "of the link itself, as by chown -h; chmod follows it",
    Remark.IS_DIRECTORY: "a directory cannot be opened for writing",
    Remark.IS_ROOT: "the root of a mount stays where it is",
    Remark.OPENS_NO_LAYER: "opening it touches no layer",
    Remark.NOT_EMPTY: "it is not empty",
    Remark.NEEDS_REDIRECT_DIR: "a directory with a part in a lower; redirect_dir=on would rename it, mv copies",
    Remark.REDIRECT_TOO_LONG: "its path is too long for a redirect",
    Remark.NO_DATA: "its data cannot be had",
    Remark.BREAKS_LINK: "its other names keep the old file",
    Remark.WITHOUT_METACOPY: "metadata would do with metacopy=on",
    Remark.UNREADABLE: "how much cannot be told, as it may not be read",
    Remark.WORK_ELSEWHERE: "the work directory is in another subvolume than the upper",
    Remark.PERHAPS_NOT_EMPTY: "if it is empty, which cannot be told",
}

GROUNDS = {
    Ground.HANDLE: "it names the same object, by its file handle",
    Ground.ABSENCE: "it finds nothing there, either",
    Ground.ERROR: "it gives the same error",
    Ground.NOT_MOUNTED: "the stack is not mounted",
    Ground.MOUNTED_OVER: "another mount lies on this path",
    Ground.THROUGH_LINK: "the path leads through a symbolic link",
    Ground.NOT_REACHABLE: "the path cannot be reached through the mount by this user",
    Ground.NO_ANSWER: "the kernel does not tell which layer's object it is; kind and size are the same",
    Ground.NO_HANDLES: "the layer's file system has no file handles; kind and size are the same",
    Ground.CHANGING: "it is being changed right now",
    Ground.NOT_CERTAIN: "not everything that decides could be read",
    Ground.UNSEEN_MARKS: "marks in trusted.overlay.*, which cannot be seen without root, make a difference",
    Ground.OTHER_OBJECT: "it shows another object under this name",
    Ground.OTHER_OUTCOME: "it gives another answer",
    Ground.OTHER_KIND: "it shows something of another kind",
    Ground.OTHER_SIZE: "it shows another size",
}

STALENESS = {
    Staleness.WILL_MISS: "will go on seeing the old data after the first change",
    Staleness.MAY_MISS: "sees the old data if it was mapped before the copy-up",
    Staleness.MISSES: "sees the old data, from before the copy-up",
    Staleness.NEVER: "has the layer's own file, and never sees the upper",
    Staleness.BLOCKS: "runs it: opening it for writing fails with ETXTBSY meanwhile",
}
