"""Stack files: from TOML to what they declare.

Nothing in a file is ignored: an unknown key is an error that names the nearest known one. The same rules are
published for editors in ``docs/stack-file.schema.json``; a test holds both against one list of examples.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
from ovlctl.ops.preflight.places import translated
from ovlctl.ops.sets.declared import Declared, Directory, GivenUpper, LayersOf, MergedOf, StackFile
from ovlctl.ops.sets.paths import absolute
from ovlctl.ops.sets.toml import Table
from ovlctl.ops.state import check_name
from ovlctl.overlay.options import KEYS, Options

if TYPE_CHECKING:
    from ovlctl.ops.sets.declared import Layer
    from ovlctl.ops.sets.toml import Value

_TOP = ("$schema", "stack")
_STACK = ("lowers", "data_only", "upper", "target", "options", "allow_weaker")
_SIZE = re.compile(r"(?P<number>[1-9][0-9]{0,17})(?P<unit>[KMGT]?)(?:(?<=[KMGT])iB)?")
_UPPERS = '"kept", "none", "tmpfs", {tmpfs = "512M"} or {dir = "PATH", work = "PATH"}'
_LARGEST = 4 << 20


def read(path: str | os.PathLike[str]) -> StackFile:
    """What the stack file *path* declares; whether its directories exist is not looked at.

    Raises:
        PathMissing, AccessDenied, BadUsage: when it cannot be read.
        StackFileSyntax: when it is not TOML.
        StackFileWrong, VariableUnset: when it says something that no stack file can say.
    """
    where = os.fspath(path)
    try:
        real = os.path.realpath(where, strict=True)
        _check_plain(real, where)
        with open(real, "rb") as file:
            content = file.read(_LARGEST + 1)
    except ValueError as error:
        raise errors.BadUsage("the path of the stack file holds a NUL byte") from error
    except FileNotFoundError as error:
        raise errors.PathMissing("there is no stack file {}", where, errno=error.errno) from error
    except OSError as error:
        raise translated(error, where) from error
    if len(content) > _LARGEST:
        raise errors.StackFileWrong("{} is larger than 4 MiB, which no stack file is", where)
    return parse(content, real)


def _check_plain(real: str, where: str) -> None:
    """Refuse what would not end, or not be there the next time: pipes, devices; and directories."""
    mode = os.stat(real).st_mode
    if stat.S_ISREG(mode):
        return
    what = "a directory, not a stack file" if stat.S_ISDIR(mode) else "not a plain file, and so no stack file"
    raise errors.StackFileWrong(f"{{}} is {what}", where, hint="name a file that ends in .toml, or a DIR.mstack")


def parse(content: bytes, path: str) -> StackFile:
    """What the text *content* of a stack file declares.

    Args:
        content: TOML in UTF-8.
        path: Where it comes from, absolute: relative paths begin in its directory.

    Raises:
        StackFileSyntax, StackFileWrong, VariableUnset: see :func:`read`.
    """
    import tomllib  # with re and datetime in tow, which only stack files pay for

    try:
        top = Table(tomllib.loads(content.decode("utf-8")), (), path)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errors.StackFileSyntax(f"{{}} is not UTF-8 (at line {line})", path) from error
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        raise errors.StackFileSyntax(f"{{}} is not TOML: {literal(text[:1].lower() + text[1:])}", path) from error
    except RecursionError as error:
        raise errors.StackFileSyntax("{} is nested too deeply", path) from error
    top.only(_TOP)
    if (schema := top.get("$schema")) is not None:
        schema.text()
    stacks = tuple(_stack(name, body.table()) for name, body in top.tables("stack"))
    if not stacks:
        raise errors.StackFileWrong("{} declares no stack", path, hint="begin with `[stack.NAME]` and `lowers = [...]`")
    _no_sharing(stacks, path)
    return StackFile(path=path, stacks=stacks)


def _stack(name: str, body: Table) -> Declared:
    _named(body, name)
    body.only(_STACK)
    lowers = body.get("lowers")
    if lowers is None:
        raise body.wrong("has no `lowers`", hint='every stack needs `lowers = ["PATH", ...]`, topmost first')
    found = lowers.items()
    if not found:
        raise lowers.wrong("is an empty list", hint="a stack needs at least one lower")
    data_only = body.get("data_only")
    upper, target, weaker = body.get("upper"), body.get("target"), body.get("allow_weaker")
    options = body.get("options")
    return Declared(
        name=name,
        lowers=tuple(map(_layer, found)),
        data_only=() if data_only is None else tuple(map(_layer, data_only.items())),
        upper=KeptUpper() if upper is None else _upper(upper),
        target=None if target is None else _path(target),
        options=Options() if options is None else _options(options.table()),
        allow_weaker=weaker is not None and weaker.boolean(),
    )


def _named(value: Value, name: str) -> str:
    """*name*, which *value* gives to a stack or calls one by."""
    try:
        return check_name(name)
    except errors.BadUsage as error:
        raise value.wrong("cannot name a stack", hint=error.hint()) from error


def _path(value: Value) -> str:
    return absolute(value.text(), base=os.path.dirname(value.file), place=value.place, file=value.file)


def _layer(value: Value) -> Layer:
    if value.is_text:
        return Directory(_path(value))
    if not value.is_table:
        raise value.wrong('is no layer: expected a path, {stack = "NAME"} or {layers = "NAME"}')
    table = value.table()
    table.only(("stack", "layers"))
    merged, layers = table.get("stack"), table.get("layers")
    if merged is not None and layers is None:
        return MergedOf(_named(merged, merged.text()))
    if layers is not None and merged is None:
        return LayersOf(_named(layers, layers.text()))
    raise table.wrong('is no layer: expected either {stack = "NAME"} or {layers = "NAME"}')


def _upper(value: Value) -> GivenUpper | KeptUpper | TmpfsUpper | None:
    words = {"kept": KeptUpper(), "none": None, "tmpfs": TmpfsUpper()}
    if value.is_text and value.text() in words:
        return words[value.text()]
    if not value.is_table:
        raise value.wrong(f"is no upper: expected {_UPPERS}")
    table = value.table()
    table.only(("tmpfs", "dir", "work"))
    size, directory, work = table.get("tmpfs"), table.get("dir"), table.get("work")
    if size is not None and directory is None and work is None:
        return TmpfsUpper(_size(size))
    if size is None and directory is not None and work is not None:
        return GivenUpper(_path(directory), _path(work))
    raise table.wrong(f"is no upper: expected {_UPPERS}")


def _size(value: Value) -> int:
    match = _SIZE.fullmatch(value.text())
    size = 0 if match is None else int(match["number"]) << 10 * " KMGT".index(match["unit"] or " ")
    if not 0 < size < 1 << 63:
        raise value.wrong("is no size", hint="write sizes as 4096, 64K, 512M or 1GiB; K is 1024 bytes")
    return size


def _options(table: Table) -> Options:
    options = Options()
    table.only([key.name for key in KEYS], what="option of overlay")
    for name, value in table:
        if not value.is_text and not value.is_boolean:
            raise value.wrong("takes a string, true or false")
        word = value.text() if value.is_text else "on" if value.boolean() else "off"
        try:
            options = options.with_value(name, word)
        except errors.BadUsage as error:
            raise value.wrong(f"is no value of an option: {error.message()}") from error
    return options


def _no_sharing(stacks: tuple[Declared, ...], path: str) -> None:
    """Two stacks have neither a target nor a writable directory in common."""
    taken: dict[str, Declared] = {}
    for stack in stacks:
        given = (stack.upper.upper, stack.upper.work) if isinstance(stack.upper, GivenUpper) else ()
        for directory in (*given, *(() if stack.target is None else (stack.target,))):
            other = taken.setdefault(_canonical(directory, path), stack)
            if other is not stack:
                what = "target" if directory == stack.target else "upper or work directory"
                raise errors.StackFileWrong(
                    f"the stacks {other.name} and {stack.name} in {{}} have one {what}, {{}}",
                    path,
                    directory,
                    hint="give each stack one of its own",
                )


def _canonical(directory: str, path: str) -> str:
    try:
        return os.path.realpath(directory)
    except OSError as error:
        raise errors.StackFileWrong(f"{{}} in {{}} leads nowhere: {strerror(error)}", directory, path) from error
