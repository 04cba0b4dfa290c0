"""The mount options of overlayfs as one typed value.

Every key that overlay knows is a field; None means "not asked". What was asked becomes what ovlctl states to the
kernel in :func:`stated`, where nothing that changes behaviour is left to a module parameter. Which options exclude
or need each other stands in :mod:`ovlctl.overlay.rules`.

Source: Documentation/filesystems/overlayfs.rst and fs/overlayfs/params.c of the Linux kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from ovlctl.errors import BadUsage, literal


class Switch(StrEnum):
    """An option that is on or off."""

    ON = "on"
    OFF = "off"


class RedirectDir(StrEnum):
    """How renamed directories are recorded and followed."""

    ON = "on"
    OFF = "off"
    FOLLOW = "follow"
    NOFOLLOW = "nofollow"


class Xino(StrEnum):
    """Whether inode numbers of several file systems are made unique with high bits."""

    ON = "on"
    AUTO = "auto"
    OFF = "off"


class Uuid(StrEnum):
    """Which UUID the overlay reports, and whether file handles carry the layer's."""

    ON = "on"
    AUTO = "auto"
    NULL = "null"
    OFF = "off"


class Verity(StrEnum):
    """Whether metacopy files carry and need an fs-verity digest."""

    ON = "on"
    REQUIRE = "require"
    OFF = "off"


class Fsync(StrEnum):
    """What is synced to the upper file system, and when."""

    AUTO = "auto"
    STRICT = "strict"
    VOLATILE = "volatile"


class Flag(StrEnum):
    """An option without a value; ``NO`` states its absence, or its ``no`` form where the kernel has one."""

    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of one option.

    Attributes:
        name: The kernel's spelling, which is also the field's name in :class:`Options`.
        values: Its closed set of values.
        since: The kernel release that first has it, for people to read: programs probe instead.
        summary: One line for help texts.
    """

    name: str
    values: type[StrEnum]
    since: str
    summary: str

    def shown(self, value: StrEnum) -> str:
        """The option with *value*, as it stands among mount options."""
        return self.name if value is Flag.YES else f"{self.name}={value}"


KEYS: tuple[Key, ...] = (
    Key("redirect_dir", RedirectDir, "4.10", "record and follow renamed directories"),
    Key("index", Switch, "4.13", "keep hard links together over copy-up"),
    Key("metacopy", Switch, "4.19", "copy up metadata without data where that is enough"),
    Key("nfs_export", Switch, "4.16", "give file handles that NFS can export"),
    Key("xino", Xino, "4.17", "unique inode numbers over several file systems"),
    Key("uuid", Uuid, "5.11", "the UUID the overlay reports"),
    Key("userxattr", Flag, "5.11", "keep marks in user.overlay.* instead of trusted.overlay.*"),
    Key("verity", Verity, "6.6", "check data of metacopy files by fs-verity digest"),
    Key("volatile", Flag, "5.10", "never sync to the upper; data is lost after a crash"),
    Key("fsync", Fsync, "6.18 (stable) and 7.0", "what is synced to the upper"),
    Key("default_permissions", Flag, "4.4", "check permissions on the merged inode only"),
    Key("override_creds", Flag, "6.15", "act on layers with the mounter's credentials"),
)

_BY_NAME = {key.name: key for key in KEYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one stack; None is "not asked" (or, read back from a mount, "the kernel does not tell")."""

    redirect_dir: RedirectDir | None = None
    index: Switch | None = None
    metacopy: Switch | None = None
    nfs_export: Switch | None = None
    xino: Xino | None = None
    uuid: Uuid | None = None
    userxattr: Flag | None = None
    verity: Verity | None = None
    volatile: Flag | None = None
    fsync: Fsync | None = None
    default_permissions: Flag | None = None
    override_creds: Flag | None = None

    def items(self) -> tuple[tuple[Key, StrEnum | None], ...]:
        """Every key with its value, in the order of :data:`KEYS`."""
        return tuple((key, getattr(self, key.name)) for key in KEYS)

    def asked(self) -> tuple[tuple[Key, StrEnum], ...]:
        """The keys that have a value, in the order of :data:`KEYS`."""
        return tuple((key, value) for key, value in self.items() if value is not None)

    def with_value(self, name: str, value: str) -> Self:
        """A copy with one option set from text, such as ``with_value("metacopy", "on")``.

        ``on`` and ``off`` are taken for flags as well.

        Raises:
            BadUsage: for an unknown key or value; the message lists the legal ones.
        """
        key = key_named(name)
        if key.values is Flag:
            value = {"on": "yes", "off": "no"}.get(value, value)
        try:
            typed = key.values(value)
        except ValueError as error:
            legal = ", ".join(key.values)
            message = f"option `{name}` takes {legal}, not `{literal(value)}`"
            raise BadUsage(message) from error
        # mypy cannot follow a field name that is only known at run time.
        return replace(self, **{name: typed})  # type: ignore[arg-type]


def key_named(name: str) -> Key:
    """The key spelt *name*.

    Raises:
        BadUsage: when overlay has no such key.
    """
    try:
        return _BY_NAME[name]
    except KeyError as error:
        message = f"overlay has no option `{literal(name)}`"
        raise BadUsage(message, hint=f"the options are {', '.join(_BY_NAME)}") from error


def stated(options: Options, *, trusted_xattrs: bool) -> Options:
    """What ovlctl tells the kernel when *options* were asked for.

    index, metacopy, redirect_dir and xino always get a value, so that module parameters (which differ between
    distributions) change nothing; an option that another one implies is stated with it, as the kernel would set
    it: metacopy=on implies redirect_dir=on, nfs_export=on implies index=on, userxattr (and
    having no trusted xattrs) implies redirect_dir=nofollow. All other keys stay as asked.

    Args:
        options: What was asked.
        trusted_xattrs: False when the mounter cannot use trusted xattrs (inside a user namespace): userxattr is
            then the default, because a mount without it loses opaque directories.

    Law: stating is idempotent, and never changes a value that was asked.
    """
    userxattr = options.userxattr or (Flag.NO if trusted_xattrs else Flag.YES)
    redirect = RedirectDir.FOLLOW if trusted_xattrs and userxattr is Flag.NO else RedirectDir.NOFOLLOW
    if options.metacopy is Switch.ON:
        redirect = RedirectDir.ON
    index = Switch.ON if options.nfs_export is Switch.ON else Switch.OFF
    return replace(
        options,
        userxattr=userxattr,
        redirect_dir=options.redirect_dir or redirect,
        index=options.index or index,
        metacopy=options.metacopy or Switch.OFF,
        xino=options.xino or Xino.OFF,
    )
