"""Mount options: OVL-E030 to E039."""

from __future__ import annotations

from ovlctl.errors.base import PermissionDeniedError, UnsupportedError, UsageError


class MetacopyNeedsRedirect(UsageError):
    """metacopy=on works with redirect_dir=on only."""

    code = "OVL-E030"


class NfsExportNeedsIndex(UsageError):
    """nfs_export=on works with index=on only."""

    code = "OVL-E031"


class NfsExportExcludesMetacopy(UsageError):
    """nfs_export=on and metacopy=on exclude each other."""

    code = "OVL-E032"


class UserxattrNeedsNofollow(UsageError):
    """userxattr works with redirect_dir=nofollow only; `off` means follow here."""

    code = "OVL-E033"


class UserxattrExcludesMetacopy(UsageError):
    """userxattr and metacopy=on exclude each other."""

    code = "OVL-E034"


class OptionUnknown(UnsupportedError):
    """This kernel's overlay does not know an option or one of its values."""

    code = "OVL-E035"


class OptionNeedsUpper(UsageError):
    """An option was asked for that the kernel ignores without an upper."""

    code = "OVL-E036"


class NeedsTrustedXattr(PermissionDeniedError):
    """The option needs trusted xattrs or file handles, which a user namespace does not give."""

    code = "OVL-E037"


class NfsExportWithoutUpper(UsageError):
    """Without an upper nfs_export=on is dropped by the kernel unless redirect_dir=nofollow."""

    code = "OVL-E038"


class VolatileExcludesFsync(UsageError):
    """volatile and another fsync= mode were both asked for."""

    code = "OVL-E039"
