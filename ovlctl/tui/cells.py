"""Text made to fit into so many cells of a terminal, where a character takes none, one or two."""

from __future__ import annotations

from rich.cells import cell_len

__all__ = ["cell_len", "cut", "cut_middle", "folded", "padded", "tail"]

# A name as long as no one types it, and as much of it as tells it from others.
_LONG = 32
_SOME = 8


def padded(text: str, width: int, *, right: bool = False) -> str:
    """*text* with blanks up to *width* cells; *right* puts them before it."""
    blanks = " " * max(0, width - cell_len(text))
    return blanks + text if right else text + blanks


def cut(text: str, width: int, sign: str) -> str:
    """*text* in at most *width* cells; where that takes something off its end, *sign* says so."""
    if cell_len(text) <= width:
        return text
    return _head(text, width - 1) + sign if width > 0 else ""


def cut_middle(text: str, width: int, sign: str) -> str:
    """*text* in at most *width* cells; what is too much is taken out of its middle, where *sign* stands then."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    tail = _tail(text, (width - 1) // 2)
    return _head(text, width - 1 - cell_len(tail)) + sign + tail


def tail(path: str, room: int, sign: str) -> str:
    """The end of *path* in at most *room* cells, beginning at a slash where that can be.

    Of a long name before it, such as the id of a layer, both ends are kept where there is room for them.
    """
    if cell_len(path) <= room:
        return path
    parts = path.split("/")
    for at in range(1, len(parts)):
        rest = "/" + "/".join(parts[at:])
        left = room - 1 - cell_len(rest)
        if left > _SOME and cell_len(parts[at - 1]) > _LONG:
            return sign + "/" + cut_middle(parts[at - 1], left - 1, sign) + rest
        if left >= 0:
            return sign + rest
    return cut(path, room, sign)


def folded(text: str, width: int) -> list[str]:
    """*text* on as many lines as it takes, broken after commas or at blanks where there are any.

    Later lines are indented as deep as the first, and two more.
    """
    if cell_len(text) <= width:
        return [text]
    indent = min(len(text) - len(text.lstrip(" ")) + 2, max(0, width // 2))
    lines = []
    while cell_len(text) > width:
        head = _head(text, max(1, width)) or text[:1]
        head = head[: _break(head, indent, whole=text[len(head) : len(head) + 1] == " ")]
        lines.append(head.rstrip(" "))
        text = " " * indent + text[len(head) :].lstrip(" ")
        if not text.strip():
            return lines
    return [*lines, text]


def _break(head: str, indent: int, *, whole: bool) -> int:
    # After a comma rather than at any blank, so that what belongs together stays so.
    comma = head.rfind(", ") + 1
    if comma > indent + (len(head) - indent) // 3:
        return comma
    blank = len(head) if whole else head.rfind(" ")
    return blank if blank > indent else len(head)


def _head(text: str, width: int) -> str:
    if text.isascii():
        return text[: max(0, width)]
    at = min(len(text), max(0, width))  # a character may take no cell, so that more would fit: rarely, and no harm
    while at and cell_len(text[:at]) > width:
        at -= 1
    return text[:at]


def _tail(text: str, width: int) -> str:
    if width <= 0:
        return ""
    at = max(0, len(text) - width)
    while at < len(text) and cell_len(text[at:]) > width:
        at += 1
    return text[at:]
