"""How systemd and fstab(5) spell paths.

Four spellings, each with its own rules: a path as the name of a unit, a value that is the rest of its line, a word in
a list of words, and a field of fstab. What one of them cannot say is refused, never mended.

Sources: systemd.unit(5), systemd.syntax(7), systemd.exec(5) and fstab(5).
"""

from __future__ import annotations

import os
import re

from ovlctl import errors

#: Bytes that a unit name takes as they are; everything else becomes ``\xHH``, a slash becomes a dash.
_PLAIN = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_.")
_LONGEST_UNIT = 255
#: Words that mean themselves wherever they stand.
_HARMLESS = re.compile(r"[A-Za-z0-9_+=:,./@-]+")


def unit_name(path: str, suffix: str = ".mount") -> str:
    r"""The name of the unit of *path*: what ``systemd-escape --path --suffix`` prints.

    Args:
        path: Absolute, without ``..``.
        suffix: With its dot.

    Raises:
        NotWritable: when it would be longer than systemd allows.
    """
    parts = [part for part in os.fsencode(path).split(b"/") if part not in {b"", b"."}]
    raw = b"/".join(parts)
    escaped = "".join(_unit_byte(byte, first=at == 0) for at, byte in enumerate(raw)) or "-"
    if len(escaped + suffix) > _LONGEST_UNIT:
        raise errors.NotWritable(
            f"the unit of {{}} would have a name of {len(escaped + suffix)} bytes; systemd takes {_LONGEST_UNIT}",
            path,
            hint="choose a shorter target, or use `ovlctl unit --user`",
        )
    return escaped + suffix


def _unit_byte(byte: int, *, first: bool) -> str:
    if byte == ord("/"):
        return "-"
    return chr(byte) if byte in _PLAIN and not (first and byte == ord(".")) else f"\\x{byte:02x}"


def value(text: str) -> str:
    """*text* as what follows ``What=`` and its like: the rest of the line, in which only ``%`` means something.

    Raises:
        NotWritable: for what a line cannot hold.
    """
    _check_line(text)
    if text != text.strip() or text.endswith("\\"):
        raise errors.NotWritable("{} cannot be a value in a unit file, as it ends in a blank or a backslash", text)
    return text.replace("%", "%%")


def word(text: str) -> str:
    """*text* as one word of ``RequiresMountsFor=`` and its like, where quotes group.

    Raises:
        NotWritable: for what a line cannot hold, and for a backslash, which escapes in some versions of systemd.
    """
    _check_line(text)
    if "\\" in text:
        raise errors.NotWritable("{} cannot be a word in a unit file, as it holds a backslash", text)
    text = text.replace("%", "%%")
    if _HARMLESS.fullmatch(text):
        return text
    # No escape exists for a quote; the other kind of quote holds it.
    return "'\"'".join(f'"{part}"' for part in text.split('"'))


def assignment(name: str, text: str) -> str:
    """A variable as one word of ``Environment=``, where C escapes work within double quotes.

    Raises:
        NotWritable: for what a line cannot hold.
    """
    return c_quoted(f"{name}={text}")


def argument(text: str) -> str:
    """*text* as one argument of ``ExecStart=``, where C escapes, ``%`` and ``$`` mean something.

    Raises:
        NotWritable: for what a line cannot hold.
    """
    return text if _HARMLESS.fullmatch(text) else c_quoted(text.replace("$", "$$"))


def c_quoted(text: str) -> str:
    """*text* within double quotes, with ``%`` doubled.

    Raises:
        NotWritable: for what a line cannot hold.
    """
    _check_line(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def fstab_field(text: str) -> str:
    r"""*text* as one field of fstab: blanks and backslashes as octal escapes, as getmntent(3) reads them back.

    Raises:
        NotWritable: for a newline, which has an escape that line-reading programs do not know, and as in units.
    """
    _check_seen(text.replace("\t", ""), "fstab")
    return "".join(f"\\{ord(char):03o}" if char in " \t\\" else char for char in text)


def _check_line(text: str) -> None:
    _check_seen(text, "a unit file")


def _check_seen(text: str, where: str) -> None:
    """Refuse what breaks a line, is not UTF-8, or would not be seen as it is by whoever reads the file."""
    if text.isprintable():
        return
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise errors.NotWritable(f"{{}} cannot stand in {where}, as it is not UTF-8", text) from error
    raise errors.NotWritable(
        f"{{}} cannot stand in {where}: it holds a character that breaks lines or is not seen", text
    )
