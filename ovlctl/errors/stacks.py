"""A stack that the kernel would refuse or mount in a harmful way: OVL-E011 to E029."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class UpperReadOnly(UnsupportedError):
    """Upper or work lies on a read-only file system or mount.

    overlayfs writes to both. The kernel refuses with EINVAL and `overlay: filesystem on /x is read-only` (before 6.5
    `overlayfs: upper fs is r/o, try multi-lower layers mount`); a read-only bind mount counts.

        findmnt -T UPPER -o TARGET,FSTYPE,OPTIONS
        mount -o remount,rw /that/mount/point

    Otherwise use directories on a writable file system, an upper in memory, or no upper at all:

        ovlctl mount TARGET -l LOWER --tmpfs-upper 512M
        ovlctl mount TARGET -l LOWER -l BELOW --read-only
    """

    code = "OVL-E011"


class UpperOnOverlay(UnsupportedError):
    """Upper or work lies on an overlay, which cannot store the marks of another one.

    An overlay hides its own whiteouts and attributes, so that another one on top could not find its marks again. The
    kernel refuses with EINVAL and `overlay: filesystem on /x not supported as upperdir`; older kernels say the same of
    NFS and FUSE. It happens in containers (Docker in Docker), in live systems and on routers, where / is an overlay.
    Docker then reports `'overlay2' is not supported over overlayfs` or `driver not supported`.

        findmnt -T UPPER
        mount -t tmpfs tmpfs /scratch && mkdir /scratch/upper /scratch/work
        docker run -v /var/lib/docker ...     # a volume lies on the host's own file system
        ovlctl mount TARGET -l LOWER --tmpfs-upper 512M

    As a lower an overlay is fine, two levels deep at most (OVL-E040).
    """

    code = "OVL-E012"


class TooManyLowers(UnsupportedError):
    """More lowers (data-only ones included) than the 500 the kernel takes.

    The limit is OVL_MAX_STACK in the kernel; it answers EINVAL and `too many lower directories, limit is 500`.

    Put some of them together first: mount one overlay of 250 of them, and use its merged view as one lower of another
    (two levels are possible). Or copy some into one directory, top layer last:

        cp -a BOTTOM/. MERGED/ && cp -a TOP/. MERGED/

    which is right only where the layers above hold no whiteouts and opaque directories.
    """

    code = "OVL-E013"


class OptionsTooLong(UnsupportedError):
    """mount(2) would cut the option string at 4095 bytes without a word and mount something else.

    mount(2) copies one page and cuts the rest without a word: a lower whose name is cut is another directory, or none
    (`failed to resolve`), and options behind the cut are not in force. mount(8) 2.39 and newer uses fsconfig(2), where
    each value may have 255 bytes; a longer one is EINVAL, and the log is silent.

        ovlctl mount TARGET -l A -l B ...     # passes each layer by itself, without a limit

    With mount(8): go to the layers' common directory and give relative names, repeat `lowerdir+=DIR` (Linux 6.7), or

        LIBMOUNT_FORCE_MOUNT2=always mount -t overlay overlay -o lowerdir=... /mnt

    for 255 up to 4095 bytes.
    """

    code = "OVL-E014"


class NoLower(UsageError):
    """A stack without any lower.

    An overlay shows at least one lower. The kernel answers EINVAL and `overlayfs: missing 'lowerdir'`. In a script the
    usual reason is an empty variable; `lowerdir=` with nothing behind it resets the list.

        ovlctl mount TARGET -l LOWER
        mount -t overlay overlay -o lowerdir=LOWER,upperdir=U,workdir=W TARGET

    Where there is nothing to show below the upper, an empty directory serves as the lower.
    """

    code = "OVL-E015"


class OneLowerWithoutUpper(UsageError):
    """A read-only stack needs at least two lowers.

    The kernel answers EINVAL and `overlayfs: at least 2 lowerdir are needed while upperdir nonexistent`. A misspelt
    `upperdir` does not lead here but to OVL-E035.

        mount -t overlay overlay -o lowerdir=A,upperdir=U,workdir=W TARGET    # writable
        mount -t overlay overlay -o lowerdir=A:EMPTY TARGET                   # read-only
        mount --bind -o ro A TARGET                                           # what one directory needs
    """

    code = "OVL-E016"


class OnlyDataLowers(UsageError):
    """Data-only lowers need an ordinary lower whose files point to them.

    Files of a data-only lower (`::DIR` in `lowerdir`, or `datadir+=DIR`) appear through metacopy files of an ordinary
    lower that redirect to them, and not by themselves. The kernel answers EINVAL and `at least one non-data lowerdir is
    required`.

        mount -t overlay overlay -o lowerdir=META::DATA,metacopy=on TARGET
        ovlctl mount TARGET -l META --data-only DATA --metacopy on --read-only
    """

    code = "OVL-E017"


class UpperWithoutWork(UsageError):
    """An upper needs a work directory beside it.

    overlayfs prepares in the work directory what it then moves into the upper in one step. The kernel answers EINVAL
    and `overlayfs: missing 'workdir'`; before Linux 3.18 there was no work directory, and old instructions have none.

        mkdir UPPER.work
        mount -t overlay overlay -o lowerdir=L,upperdir=UPPER,workdir=UPPER.work TARGET

    It has to be empty, on the same mount as the upper, and neither inside nor above it.
    """

    code = "OVL-E018"


class WorkWithoutUpper(UsageError):
    """A work directory serves nothing without an upper; the kernel would ignore it.

    The kernel mounts, read-only, and logs `option "workdir=..." is useless in a non-upper mount, ignore`. Whoever gives
    a work directory wants to write, so ovlctl refuses.

        ovlctl mount TARGET -l LOWER --upper U --work W
        ovlctl mount TARGET -l LOWER -l BELOW --read-only
    """

    code = "OVL-E019"


class WorkOnOtherMount(UsageError):
    """Upper and work are not on the same mount of the same file system.

    Files are renamed from work into the upper, and a rename does not cross mounts. The kernel answers EINVAL and
    `overlayfs: workdir and upperdir must reside under the same mount`. Two bind mounts of one file system are different
    mounts too, and so are a directory and the mount point inside it.

        findmnt -T UPPER; findmnt -T WORK     # have to show the same line
        mkdir UPPER.work                      # beside the upper

    In containers each volume is a mount of its own: use two directories in one volume.
    """

    code = "OVL-E020"


class WorkOverlapsUpper(UsageError):
    """Work is the upper itself, inside it or above it.

    What overlayfs prepares must not show up in the merged view. The kernel answers EINVAL and `overlayfs: workdir and
    upperdir must be separate subtrees`.

        mkdir /data/upper /data/work          # side by side
        realpath UPPER WORK                   # when symbolic links are in the game
    """

    code = "OVL-E021"


class LayerTwice(UsageError):
    """One directory appears twice among the layers.

    The kernel answers ELOOP (`Too many levels of symbolic links`) and `overlayfs: conflicting lowerdir path`. A bind
    mount of the directory or a symbolic link to it is the same directory.

        stat -c '%d:%i %n' LAYER...           # equal numbers, one directory

    Name it once, where it is to be topmost. With container images a layer that appears twice does this; it is the
    engine's to merge such layers.
    """

    code = "OVL-E022"


class LowerIsUpper(UsageError):
    """One directory is a lower and also the upper or the work directory.

    The kernel answers ELOOP (`Too many levels of symbolic links`) and `overlayfs: conflicting lowerdir path`. It would
    read what it has just written as if it were below.

        mkdir /data/upper /data/work
        mount -t overlay overlay -o lowerdir=/data/lower,upperdir=/data/upper,workdir=/data/work TARGET

    To write into an existing directory through an overlay, make that directory the upper and an empty one the lower.
    """

    code = "OVL-E023"


class OverlappingLayers(UsageError):
    """A lower lies inside another lower, inside the upper or inside the work directory.

    The kernel answers ELOOP (`Too many levels of symbolic links`) and `overlayfs: overlapping lowerdir path`, whatever
    bind mounts or links lead there. The other direction is allowed, an upper or work inside a lower: then only listing
    that name through the merged view gives ELOOP, and the log has `overlapping layers`.

        realpath LOWER UPPER WORK             # none may begin with another

    `lowerdir=/` with upper and work below / is such a case, and mounts. Use directories side by side where you can.
    """

    code = "OVL-E024"


class UpperInUse(UnsupportedError):
    """Upper or work belongs to an overlay that is mounted now; sharing it is undefined behaviour.

    Two overlays that write to one directory destroy each other's view; the kernel calls it undefined behaviour. With
    index=on it answers EBUSY (mount(8): `already mounted or mount point busy`), otherwise it only logs

        overlayfs: upperdir is in-use as upperdir/workdir of another mount, accessing files from both mounts will
        result in undefined behavior.

    `index=off`, which the log recommends, silences the kernel and does not solve it. The other overlay may be in
    another mount namespace, or have been unmounted lazily (`umount -l`) and live on until its last user ends.

        ovlctl who UPPER
        ovlctl umount THAT_TARGET
    """

    code = "OVL-E025"


class LowerInUse(UnsupportedError):
    """A lower is, or lies below, the upper or work directory of an overlay that is mounted now.

    What the other overlay writes would appear in this one at times, and at times not. With index=on the kernel answers
    EBUSY and `overlayfs: lowerdir is in-use as upperdir/workdir`; Docker on Linux 5.2 reported it as `device or
    resource busy`.

        ovlctl who LOWER
        ovlctl mount TARGET -l THAT_MERGED_VIEW     # its merged view may be a lower
        ovlctl umount THAT_TARGET

    Or use a copy of the directory: `cp -a --reflink=auto LOWER COPY`.
    """

    code = "OVL-E026"


class UpperOfOtherLower(UnsupportedError):
    """With index=on the upper remembers another topmost lower (ESTALE).

    With index=on overlayfs notes in the upper, in the attribute overlay.origin, which lower root it belongs to. Another
    lower, a copy of it, or a file system that got a new UUID makes it ESTALE (`Stale file handle`), and the log has

        overlayfs: failed to verify upper root origin

    It also comes unasked where the distribution switched index on (`cat /sys/module/overlay/parameters/index`).

        mount ... -o index=off,...                      # hard links are broken by copy-up then
        mkdir FRESH.upper FRESH.work                    # or start again
        setfattr -x trusted.overlay.origin UPPER        # after a copy whose lower is the same in content

    Leave overlay's attributes out when copying an upper: `rsync -aX --filter='-x trusted.overlay.*'` loses opaque
    directories as well, so filter `trusted.overlay.origin` alone.
    """

    code = "OVL-E027"


class IndexOfOtherUpper(UnsupportedError):
    """With index=on the work directory's index remembers another upper (ESTALE).

    With index=on WORK/index remembers the upper that it was made for. Used with another upper, or after a copy of both,
    the mount is ESTALE (`Stale file handle`), and the log has

        overlayfs: failed to verify index dir 'upper' xattr
        overlayfs: try deleting index dir or mounting with '-o index=off' to disable inodes index.

    The index only serves hard links and NFS export of what was copied up before.

        mkdir FRESH.work                      # the safe way
        rm -r WORK/index                      # with nothing mounted
        mount ... -o index=off,...
    """

    code = "OVL-E028"


class VolatileLeftover(UnsupportedError):
    """The work directory bears the marker of a volatile mount, whose data may be incomplete.

    A volatile mount syncs nothing, so after a crash the upper can lack data that programs believed written. The kernel
    leaves WORK/work/incompat/volatile behind, also after a clean unmount, and refuses the work directory from then on,
    even for another volatile mount: EINVAL and `overlay with incompat feature 'volatile' cannot be mounted`.

        rm -r UPPER WORK && mkdir UPPER WORK  # what a volatile upper is for
        rm -r WORK/work                       # only after a clean end, and when `sync -f UPPER` has run since
    """

    code = "OVL-E029"
