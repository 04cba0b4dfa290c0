"""Arguments and paths: OVL-E001 to E010."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, PermissionDeniedError, UnsupportedError, UsageError


class BadUsage(UsageError):
    """The command line or a library call is wrong in itself.

    It comes from wrong options, from a value that an option does not take, from a `lowerdir` list that makes no sense
    to mount(8), or from two options that exclude each other. Nothing was done.

        ovlctl COMMAND --help
        ovlctl why -- mount -t overlay overlay -o lowerdir=L,upperdir=U,workdir=W /mnt

    In a mount(8) command the usual slips are a missing `-t overlay`, a missing source (any word serves, such as
    `overlay`), and spaces between options, which are one word separated by commas.
    """

    code = "OVL-E001"


class PathMissing(NotFoundError):
    """A layer, work directory or target does not exist.

    The kernel answers ENOENT and logs `overlayfs: failed to resolve '/x': -2`. mount(8) then says `special device
    overlay does not exist`, which is about the source, which an overlay has none of; or `mount point does not exist`,
    which is about the target.

        ls -ld LOWER UPPER WORK TARGET
        mkdir -p DIR

    A name that was cut short in the log points to a colon or a comma in it: `lowerdir=` is cut at every colon without a
    backslash, all options at every comma without one. Relative names count from the directory in which mount(8) runs.
    In a container the directory has to exist inside the container.
    """

    code = "OVL-E002"


class NotADirectory(UsageError):
    """A layer, work directory or target is something else than a directory.

    Every layer, the work directory and the target are directories; a symbolic link to one will do. The kernel refuses a
    file with EINVAL and `overlay: /x is not a directory`, a file as the target with ENOTDIR (`mount point is not a
    directory`), and links in a circle with ELOOP.

        stat -c '%F' DIR
        namei -l DIR
    """

    code = "OVL-E003"


class MissingCapability(PermissionDeniedError):
    """The process lacks a capability that the kernel wants; the message says which and for what.

    Mounting needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace, and the kernel answers EPERM
    without it. mount(8) says `permission denied` or `must be superuser to use mount`.

        sudo ovlctl mount ...
        unshare -Urm                  # a shell that is root in namespaces of its own

    Without root the option `userxattr` is needed for most uses, and some options do not work: see OVL-E037. In a
    container give it CAP_SYS_ADMIN (`docker run --cap-add SYS_ADMIN`), and look whether a seccomp or AppArmor profile
    forbids mount(2) all the same. `ovlctl doctor` says what this user can do and what blocks the rest.
    """

    code = "OVL-E004"


class AccessDenied(PermissionDeniedError):
    """A path may not be read, written or searched by this user.

    A directory on the way to the path may not be searched, or the directory itself may not be read or, for upper and
    work, written. The kernel answers EACCES; mount(8) says `permission denied`.

        namei -l DIR
        id

    With SELinux or AppArmor the modes can be right and the answer the same:

        ausearch -m avc -ts recent
        dmesg | grep 'apparmor="DENIED"'

    In a user namespace directories that belong to ids outside its mapping cannot be written, whatever their mode.
    """

    code = "OVL-E005"


class NotAnOverlay(NotFoundError):
    """The thing named is there but is no overlay mount.

    `show`, `umount` and others take the mount point of an overlay, a path inside it, or the name of a stack. The path
    named lies on another file system; perhaps the overlay there was unmounted already, or is mounted in another mount
    namespace.

        findmnt -T PATH
        ovlctl ls

    fuse-overlayfs, unionfs and mergerfs are programs in user space with rules of their own and no overlays in this
    sense.
    """

    code = "OVL-E006"


class StackNotFound(NotFoundError):
    """No mount, record or kept upper has this name.

    `ovlctl ls` lists every overlay mounted here, every record whose mount is gone, and every upper that ovlctl keeps. A
    stack of another user, or one made with another `--state-dir`, has its record elsewhere.

        ovlctl ls
        ovlctl ls --state-dir DIR
        ovlctl umount /mount/point    # by its mount point, whoever mounted it
    """

    code = "OVL-E007"


class NameTaken(UsageError):
    """Another stack has this name already.

    Names are unique among the mounts and kept uppers of one state directory, so that `ovlctl umount NAME` means one
    thing. The stack of this name is mounted.

        ovlctl show NAME
        ovlctl mount --name OTHER ...
        ovlctl umount NAME
    """

    code = "OVL-E008"


class TargetOccupied(UsageError):
    """The target is already the mount point of an overlay.

    The kernel would mount one overlay over the other and hide it; both would go on, and the hidden one would keep its
    upper in use. That is hardly ever meant, so it is refused.

        findmnt TARGET
        ovlctl umount TARGET
        ovlctl remount NAME ...       # to give a mounted stack other layers or options
    """

    code = "OVL-E009"


class OverlayMissing(UnsupportedError):
    """This kernel has no overlay file system, or its module is not loaded.

    fsopen(2) and mount(2) answer ENODEV, mount(8) says `unknown filesystem type 'overlay'`. Most distributions have it
    as a module, which root's first mount loads by itself; a user namespace loads none.

        grep overlay /proc/filesystems
        sudo modprobe overlay
        echo overlay | sudo tee /etc/modules-load.d/overlay.conf

    The type is called `overlay` since Linux 3.18; `overlayfs` was its name in patched kernels before. A kernel without
    CONFIG_OVERLAY_FS has to be replaced. After an update of the kernel, modules are missing until the next boot.
    """

    code = "OVL-E010"
