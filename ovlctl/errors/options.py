"""Mount options: OVL-E030 to E039."""

from __future__ import annotations

from ovlctl.errors.base import PermissionDeniedError, UnsupportedError, UsageError


class MetacopyNeedsRedirect(UsageError):
    """metacopy=on works with redirect_dir=on only.

    A metacopy file finds its data through a redirect, so the kernel refuses metacopy=on with an explicit
    redirect_dir=off, follow or nofollow: EINVAL and `overlayfs: conflicting options: metacopy=on,redirect_dir=follow`.
    Without an upper only nofollow conflicts. An option that nobody stated is no conflict: metacopy=on switches
    redirect_dir on.

        mount -t overlay overlay -o lowerdir=L,upperdir=U,workdir=W,metacopy=on TARGET
        ovlctl mount TARGET -l L --metacopy on
    """

    code = "OVL-E030"


class NfsExportNeedsIndex(UsageError):
    """nfs_export=on works with index=on only.

    File handles for NFS are looked up in the index. The kernel answers EINVAL and `overlayfs: conflicting options:
    nfs_export=on,index=off`. Leave index out: nfs_export=on switches it on.

        mount -t overlay overlay -o lowerdir=L,upperdir=U,workdir=W,nfs_export=on TARGET
    """

    code = "OVL-E031"


class NfsExportExcludesMetacopy(UsageError):
    """nfs_export=on and metacopy=on exclude each other.

    A file handle of a metacopy file could not be decoded without its data. The kernel answers EINVAL and `overlayfs:
    conflicting options: nfs_export=on,metacopy=on`. Where metacopy is the module's default, state it:

        mount ... -o nfs_export=on,metacopy=off,...
    """

    code = "OVL-E032"


class UserxattrNeedsNofollow(UsageError):
    """userxattr works with redirect_dir=nofollow only; `off` means follow here.

    With userxattr whoever owns a layer can write its marks, and could send a redirect anywhere. So the kernel takes
    redirect_dir=nofollow alone, also by default, and answers EINVAL and `overlayfs: conflicting options: userxattr,
    redirect_dir=on` to the rest. `redirect_dir=off` means follow unless the module parameter redirect_always_follow is
    N.

        mount ... -o userxattr,...            # without redirect_dir

    Renaming directories of a lower then fails with EXDEV, and programs such as mv copy instead.
    """

    code = "OVL-E033"


class UserxattrExcludesMetacopy(UsageError):
    """userxattr and metacopy=on exclude each other.

    With userxattr whoever owns a layer could make a file of theirs show the data of another. The kernel answers EINVAL
    and `overlayfs: conflicting options: userxattr,metacopy=on`. Without root there is no metacopy; as root, leave
    userxattr out.

        mount ... -o userxattr,...            # without metacopy
        sudo mount ... -o metacopy=on,...     # without userxattr
    """

    code = "OVL-E034"


class OptionUnknown(UnsupportedError):
    r"""This kernel's overlay does not know an option or one of its values.

    The kernel answers EINVAL and, by version, one of

        overlay: Unknown parameter 'bogus'
        overlay: Bad value for 'index'
        overlayfs: unrecognized mount option "metacopy=on" or missing value

    A misspelt option does it, an option newer than the kernel, a flag with a value (`userxattr=on`), and a comma in a
    path, whose second half is taken for an option. Podman meets it with `metacopy=on` in storage.conf before Linux
    4.19.

        ovlctl doctor                         # which options this kernel knows, found by asking it
        mount ... -o 'lowerdir=/a\,b:/c'      # a comma that belongs to a name

    By a remount (`mount -o remount,...`) no option of an overlay can be changed; mount(2) ignores them and returns 0,
    fsconfig(2) says `No changes allowed in reconfigure`. `ovlctl remount` makes a new mount and swaps it in.
    """

    code = "OVL-E035"


class OptionNeedsUpper(UsageError):
    """An option was asked for that the kernel ignores without an upper.

    Without an upper nothing is written, so that volatile, fsync=volatile, index=on and uuid= have nothing to do. The
    kernel mounts, drops them and logs a line such as `option "volatile" is meaningless in a non-upper mount, ignoring
    it.` ovlctl refuses instead of leaving something out.

        ovlctl mount TARGET -l L --upper U --work W --volatile
        ovlctl mount TARGET -l L -l M --read-only
    """

    code = "OVL-E036"


class NeedsTrustedXattr(PermissionDeniedError):
    """The option needs trusted xattrs or file handles, which a user namespace does not give.

    overlayfs keeps its marks in trusted.overlay.*, which a user namespace can neither read nor write, and opens files
    by handle in the initial user namespace only. So without root redirect_dir, metacopy, verity and data-only lowers
    are EPERM with `... requires permission to access trusted xattrs`, index and nfs_export are dropped, and a plain
    mount works but cannot write opaque marks: rmdir and mkdir of one name fail with EIO, and the log has

        overlayfs: failed to set xattr on upper
        overlayfs: try mounting with 'userxattr' option

    What helps, in this order:

        mount ... -o userxattr,...            # Linux 5.11; marks go to user.overlay.*
        sudo mount ...                        # where an option is needed that userxattr excludes

    Layers that root wrote with trusted.overlay.opaque are read wrongly without root: what those directories hide
    appears.
    """

    code = "OVL-E037"


class NfsExportWithoutUpper(UsageError):
    """Without an upper nfs_export=on is dropped by the kernel unless redirect_dir=nofollow.

    The kernel mounts, turns nfs_export off and logs `NFS export requires "redirect_dir=nofollow" on non-upper mount,
    falling back to nfs_export=off.` ovlctl refuses instead of leaving it out.

        mount -t overlay overlay -o lowerdir=A:B,nfs_export=on,redirect_dir=nofollow TARGET
    """

    code = "OVL-E038"


class VolatileExcludesFsync(UsageError):
    """volatile and another fsync= mode were both asked for.

    volatile is another spelling of fsync=volatile, and the kernel takes whichever stands last without a word. Ask for
    one:

        ovlctl mount TARGET -l L --volatile           # never synced
        ovlctl mount TARGET -l L --fsync strict       # metadata synced with every copy-up

    fsync= is in Linux 7.0 and in the stable kernels since 6.12 that took it over.
    """

    code = "OVL-E039"
