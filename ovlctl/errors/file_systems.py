"""File systems and work directories: OVL-E040 to E046."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError


class StackTooDeep(UnsupportedError):
    """A layer is an overlay that already stands on an overlay; two levels are the kernel's limit.

    An overlay may stand on overlays, but not on overlays that do so themselves (FILESYSTEM_MAX_STACK_DEPTH is 2). The
    kernel answers EINVAL and `overlayfs: maximum fs stacking depth exceeded`. proc and some others count as stacked too
    deep from the start (OVL-E045).

        findmnt -t overlay -o TARGET,OPTIONS
        ovlctl show THAT_TARGET

    Name the layers of the overlay in between as lowers of the new one, upper first, then its lowers. That is the same
    view, as long as nobody writes to it meanwhile. ecryptfs and file-backed erofs count as a level as well.
    """

    code = "OVL-E040"


class UpperFileSystemPoor(UnsupportedError):
    """The upper's file system lacks what overlayfs needs to write its marks.

    An upper needs extended attributes (trusted.*, or user.* with userxattr), the types of directory entries, and
    RENAME_WHITEOUT; O_TMPFILE is wanted. ext4, xfs with ftype=1, btrfs, f2fs, tmpfs and zfs 2.2 have them; NFS, vfat,
    9p, most FUSE file systems and ramfs do not. Depending on what is missing the kernel refuses with EINVAL (`not
    supported as upperdir`, `upper fs missing required features`), or mounts without redirects and index, or read-only,
    with lines such as

        overlayfs: upper fs does not support RENAME_WHITEOUT.
        overlayfs: upper fs needs to support d_type.
        overlayfs: failed to create directory /w/work (errno: 1); mounting read-only

    Docker says `backing filesystem ... without d_type support`, Podman `'overlay' is not supported over nfs`.

        ovlctl doctor --dir UPPER
        xfs_info UPPER | grep ftype           # 0: has to be made anew, mkfs.xfs -n ftype=1
        ovlctl mount TARGET -l LOWER --tmpfs-upper 512M
    """

    code = "OVL-E041"


class WorkHoldsFiles(UnsupportedError):
    """WORK/work (or WORK/index) holds something that is not overlayfs's own; mounting would delete it.

    Every writable mount empties WORK/work without asking: a directory of yours that is called `work` inside the work
    directory is deleted with all it holds, and a file of that name is replaced. The kernel says nothing. It happens
    when a directory with other things in it is given as the work directory, the parent of a project for one.

        ls -la WORK/work
        mkdir UPPER.work                      # a fresh one, used for nothing else
    """

    code = "OVL-E042"


class WorkTreeTooDeep(UnsupportedError):
    """WORK/work holds a tree the kernel cannot clean; it would mount read-only.

    The kernel removes leftovers below WORK/work two levels deep. Below a deeper tree it gives up, logs `overlayfs:
    cleanup of 'a/b' failed (-39)` and `failed to create directory ... mounting read-only`, and the mount succeeds,
    read-only.

        find WORK/work                        # as root: is anything in it of worth?
        rm -r WORK/work                       # with nothing mounted
    """

    code = "OVL-E043"


class SubvolumeMismatch(UnsupportedError):
    """Upper and work are different btrfs subvolumes: it mounts, then every copy-up fails with EXDEV.

    btrfs lets nobody rename from one subvolume to another, and overlayfs renames from work into the upper. The kernel
    sees one mount and mounts; then every change of a lower file and every removal fails with EXDEV (`Invalid
    cross-device link`).

        stat -c '%d %n' UPPER WORK            # have to be equal
        mkdir UPPER.work                      # in the upper's own subvolume

    An upper that is itself a subvolume needs its work directory inside a common parent subvolume: make the upper a
    plain directory in it.
    """

    code = "OVL-E044"


class LayerFileSystemRefused(UnsupportedError):
    """A layer lies on a file system that overlayfs does not take as a layer, such as proc.

    proc and hugetlbfs count as stacked too deep, autofs mount points and file systems that change names below overlayfs
    are refused: EINVAL and `overlay: filesystem on /x not supported`. With case folding (ext4, f2fs, bcachefs, tmpfs
    with casefold) the log has

        overlay: case-insensitive capable filesystem on /x not supported

    up to Linux 6.17 for the whole file system, from 6.18 on for layers that do not agree about it.

        findmnt -T LAYER
        lsattr -d LAYER                       # F: this directory folds
        tune2fs -l DEVICE | grep casefold

    Use a directory on another file system, an image in a file for one.
    """

    code = "OVL-E045"


class LayerWithoutHandles(UnsupportedError):
    """An option needs file handles, and a layer's file system has none; the kernel would drop the option.

    index=on, nfs_export=on and xino=auto identify objects by file handles, and a layer's file system gives none, or has
    no UUID of its own (squashfs, ramfs, some FUSE). The kernel mounts, drops the option and logs

        overlayfs: fs on '/l' does not support file handles, falling back to index=off,nfs_export=off.

    When nobody asked for these options, the line is harmless.

        ovlctl doctor --dir LAYER
        ovlctl mount ... --allow-weaker       # accept the loss

    squashfs made with `-no-exports` has no handles; without it, it has.
    """

    code = "OVL-E046"
