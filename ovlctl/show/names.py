"""How a name is shown: the one escaper that every front end uses.

Names in layers are untrusted bytes. Printed raw they move the cursor, recolour the terminal, turn the reading
direction round, or look like another name. So nothing that comes from a file system, a mount table or another
process is printed without passing through here.

In Python a name is a ``str`` as ``os.fsdecode`` makes it: bytes that the locale cannot decode are lone surrogates.
"""

from __future__ import annotations

import os
import re
from binascii import b2a_base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HARMLESS = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")

# Code points that str.isprintable() calls printable although nothing is seen where they stand: what Unicode calls
# Default_Ignorable_Code_Point beyond the control and format characters, and the blank Braille pattern.
_INVISIBLE = frozenset(
    {
        "\u034f",  # combining grapheme joiner
        "\u115f",  # hangul fillers
        "\u1160",
        "\u3164",
        "\uffa0",
        "\u17b4",  # khmer inherent vowels
        "\u17b5",
        "\u2800",  # blank braille pattern
        *map(chr, range(0x180B, 0x1810)),  # mongolian variation selectors
        *map(chr, range(0xFE00, 0xFE10)),  # variation selectors
        *map(chr, range(0xE0100, 0xE01F0)),  # variation selectors supplement
    }
)


def show_name(name: str) -> str:
    r"""*name* as one printable line.

    A backslash becomes ``\\``. Control characters (C0, C1, DEL), line and paragraph separators, bidi overrides and
    everything else that is invisible, spaces other than the plain one, and bytes that are not valid in the locale
    become ``\xHH``, one per byte of the name. The rest stays. ``$'...'`` in a shell turns the result back into the
    name, unless it holds a single quote.

    Law: the result is printable and one line; distinct names (as ``os.fsdecode`` makes them) are shown distinctly.
    """
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    return "".join("\\\\" if char == "\\" else _visible(char) for char in name)


def show_argument(name: str) -> str:
    r"""*name* as one word of a shell command: bare where it is harmless, in quotes where it is printable.

    Else ``$'...'`` with escapes, which not every shell knows.

    Law: a POSIX shell reads the result as *name*, one with dollar-quotes (bash, zsh, POSIX.1-2024) any name; it is
    printable.
    """
    if _HARMLESS.fullmatch(name):
        return name
    if all(_visible(char) == char for char in name):
        return "'" + name.replace("'", "'\\''") + "'"
    return "$'" + show_name(name).replace("'", "\\'") + "'"


def show_text(text: str) -> str:
    r"""*text*, which is a message rather than a name, as one printable line; backslashes stay single.

    Law: the result is printable; text that is printable already comes back unchanged.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def json_path(key: str, path: str | None) -> dict[str, str | None]:
    """The members that stand for *path* in a JSON object.

    A path that is UTF-8 is itself under *key*. Any other path is shown escaped under *key*, and its bytes are under
    *key* ``_b64``. None is null.
    """
    if path is None:
        return {key: None}
    raw = os.fsencode(path)
    text = _utf8(raw)
    return (
        {key: text}
        if text is not None
        else {key: show_name(path), f"{key}_b64": b2a_base64(raw, newline=False).decode("ascii")}
    )


def json_paths(key: str, paths: Sequence[str]) -> dict[str, list[str] | list[str | None]]:
    """The members that stand for a list of paths in a JSON object, in order.

    Like :func:`json_path`; *key* ``_b64`` is a list of the same length, null where the path is UTF-8, and is there
    only when at least one path is not.
    """
    members: Iterable[dict[str, str | None]] = [json_path("path", path) for path in paths]
    shown = [member["path"] or "" for member in members]
    encoded = [member.get("path_b64") for member in members]
    return {key: shown, f"{key}_b64": encoded} if any(encoded) else {key: shown}


def _visible(char: str) -> str:
    if char.isprintable() and char not in _INVISIBLE:
        return char
    try:
        raw = os.fsencode(char)
    except UnicodeEncodeError:  # not a name: a lone surrogate that no byte gives, or a character the locale lacks
        raw = char.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in raw)


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
