"""Stacks that are read without being mounted: OVL-E150 to E159."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, UnsupportedError, UsageError


class LayerElsewhere(UnsupportedError):
    """A layer of a mounted overlay cannot be found by the path that the mount table shows.

    The kernel shows layers as whoever mounted them spelled them. The directory may have been renamed, removed or
    covered by another mount since; the path may be relative to a directory that nobody recorded, be one of another
    mount namespace (a container's, an initramfs's), or be `/` because the layer was given as a detached mount.

        ovlctl show STACK
        findmnt -T /path/of/the/layer
        nsenter -t PID -m ovlctl explain STACK PATH     # from where the path is right

    Where the directories are known, name them: `ovlctl explain --lower DIR --lower DIR --upper DIR PATH`.
    """

    code = "OVL-E150"


class PathNotInStack(NotFoundError):
    """No layer of the stack has anything to show at this path.

    The path counts from the root of the merged view; a leading slash changes nothing. A whiteout, an opaque directory
    or a redirect may hide what a lower has there, or the name may never have existed.

        ovlctl explain STACK PATH       # every layer, and why each has lost
        ovlctl tree STACK --hidden      # what is hidden, too
        ovlctl cat STACK PATH --layer N # what one layer has there
    """

    code = "OVL-E151"


class NothingAbove(UsageError):
    """A read-only stack has no upper, so nothing says what was changed.

    `diff` and `du --growth` compare an upper with what it covers. What one lower changes of those below it is a
    question of its own.

        ovlctl diff STACK --layer 0     # what the topmost lower changes
        ovlctl diff STACK OTHER         # two stacks against each other
    """

    code = "OVL-E152"


class LayerMissing(UsageError):
    """The stack has no layer of this number.

    `--layer` takes `upper`, a number of a lower counted from 0 = topmost, as JSON has it in `index`, or `data:N` for a
    data-only lower.

        ovlctl show STACK
    """

    code = "OVL-E153"


class NotAFile(UsageError):
    """What is at the path has no content that could be printed or copied as a file.

    `cat` prints regular files. Directories are listed by `ovlctl tree`, symbolic links and devices are described by
    `ovlctl explain`.
    """

    code = "OVL-E154"


class ContentUnreadable(UnsupportedError):
    """The object is there and its content cannot be had.

    A metadata-only file needs its data from a layer below: the data file is missing, the stack does not follow
    metacopy files, or its digest is required and missing. The kernel refuses to open such a file, too.

        ovlctl explain STACK PATH
    """

    code = "OVL-E155"


class DestinationTaken(UsageError):
    """Something is at the destination of a copy or a page already, and `cp` and `report` overwrite nothing unasked.

    A file, link or device is replaced with `--force`, in one step, so that whoever reads it has the old one or the new
    one. A directory is never replaced, and nothing is merged into one: a copy of a directory is a new directory.

        ovlctl cp STACK PATH DEST --force
        ovlctl report STACK --html FILE --force
        ovlctl cp -r STACK PATH DIRECTORY     # makes DIRECTORY/NAME, which must not exist
    """

    code = "OVL-E157"


class DestinationInLayer(UsageError):
    """The destination of a copy lies in what is being copied from.

    What changes in a layer below a mounted overlay, behind its back, is undefined: names appear that cannot be opened,
    old content stays, and the kernel promises nothing. And a directory that is copied into itself has no end.

        ovlctl cp STACK PATH /merged/DEST     # through the merged view, where the kernel knows of it
        ovlctl umount STACK                   # then the layers may be changed
    """

    code = "OVL-E158"
