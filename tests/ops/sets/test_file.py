"""Stack files: what they say, what they cannot say, and the schema for editors that says the same."""

from __future__ import annotations

import json
import os
import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl import errors
from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
from ovlctl.ops.sets import file, load
from ovlctl.ops.sets.declared import Directory, GivenUpper, LayersOf, MergedOf
from ovlctl.ops.sets.paths import absolute
from ovlctl.overlay.options import KEYS, Flag, Options, RedirectDir, Switch

if TYPE_CHECKING:
    from ovlctl.errors import OvlError

_PROJECT = os.path.join(os.path.dirname(__file__), "..", "..", "..")

_A = '[stack.a]\nlowers = ["l"]\n'
VALID = {
    "least": _A,
    "schema key": '"$schema" = "x.json"\n' + _A,
    "all keys": """
        [stack.a]
        lowers = ["l", {stack = "b"}, {layers = "b"}]
        data_only = ["d", {layers = "b"}]
        upper = {dir = "u", work = "w"}
        target = "t"
        options = {redirect_dir = "on", metacopy = true, userxattr = false, xino = "auto", volatile = "yes"}
        allow_weaker = true
        [stack.b]
        lowers = ["m"]
        """,
    "kept": _A + 'upper = "kept"',
    "none": _A + 'upper = "none"',
    "tmpfs": _A + 'upper = "tmpfs"',
    "tmpfs of a size": _A + 'upper = {tmpfs = "512M"}',
    "size in bytes": _A + 'upper = {tmpfs = "4096"}',
    "size in GiB": _A + 'upper = {tmpfs = "1GiB"}',
    "no data-only lowers": _A + "data_only = []",
    "no options": _A + "options = {}",
    "dollars": _A + 'target = "/x/$${HOME}/${HOME}/$$"',
    "odd characters": '[stack.a]\nlowers = ["a:b", "c,d", \'e\\f\', "g\\nh", " ", "ü=#\\""]\n',
    "a name with dots": '[stack."a.b-c_1"]\nlowers = ["l"]\n',
    "dotted keys": 'stack.a.lowers = ["l"]\nstack.a.options.index = "off"\n',
}

WRONG = {
    "empty": ("", "declares no stack"),
    "empty table": ("[stack]", "declares no stack"),
    "unknown at the top": ("[stacks.a]\nlowers=['l']", "`stacks`"),
    "schema that is no string": ('"$schema" = 1\n' + _A, '`"$schema"`'),
    "stack that is no table": ("stack = 1", "expected a table"),
    "one stack that is no table": ("stack.a = 'x'", "`stack.a` in"),
    "no lowers": ("[stack.a]", "has no `lowers`"),
    "empty lowers": ("[stack.a]\nlowers = []", "`stack.a.lowers`"),
    "lowers that are no list": ("[stack.a]\nlowers = 'l'", "is a string: expected a list"),
    "lower that is a number": ("[stack.a]\nlowers = ['l', 1]", "`stack.a.lowers[2]`"),
    "lower that is empty": ("[stack.a]\nlowers = ['']", "`stack.a.lowers[1]`"),
    "lower that names nothing": ("[stack.a]\nlowers = [{}]", "either {stack"),
    "lower that names two": ("[stack.a]\nlowers = [{stack='b',layers='b'}]", "either {stack"),
    "lower with a wrong key": ("[stack.a]\nlowers = [{stak='b'}]", "`stack.a.lowers[1].stak`"),
    "name of a stack that is no name": ("[stack.a]\nlowers = [{stack='/b'}]", "cannot name a stack"),
    "unknown key": (_A + "uper = 'none'", "`stack.a.uper`"),
    "unknown upper": (_A + "upper = 'keep'", '"kept", "none"'),
    "upper that is a number": (_A + "upper = 1", '"kept", "none"'),
    "upper without work": (_A + "upper = {dir = 'u'}", '"kept", "none"'),
    "upper of two kinds": (_A + "upper = {dir='u', work='w', tmpfs='1M'}", '"kept", "none"'),
    "size that is none": (_A + "upper = {tmpfs = '1kB'}", "is no size"),
    "size of nothing": (_A + "upper = {tmpfs = '0'}", "is no size"),
    "size that is a number": (_A + "upper = {tmpfs = 512}", "expected a string"),
    "target that is a list": (_A + "target = ['t']", "expected a string"),
    "unknown option": (_A + "options = {metacpy = 'on'}", "`stack.a.options.metacpy`"),
    "unknown value": (_A + "options = {metacopy = 'maybe'}", "takes on, off"),
    "option that is a number": (_A + "options = {metacopy = 1}", "takes a string"),
    "option that is no switch": (_A + "options = {fsync = true}", "takes auto, strict, volatile"),
    "allow_weaker that is a word": (_A + "allow_weaker = 'yes'", "expected a boolean"),
    "name that is none": ('[stack."a b"]\nlowers = ["l"]', "cannot name a stack"),
    "a dollar alone": (_A + "target = '/x$y'", "a dollar"),
    "a dollar and a brace": (_A + "target = '/x${y'", "a dollar"),
    "a NUL": (_A + 'target = "/x\\u0000"', "NUL"),
}


def _schema() -> Any:
    with open(os.path.join(_PROJECT, "docs", "stack-file.schema.json"), encoding="ascii") as text:
        return json.load(text)


def _valid(text: str) -> bool:
    return bool(jsonschema.Draft7Validator(_schema()).is_valid(tomllib.loads(text)))


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid(text: str) -> None:
    """The reader and the schema take the same files."""
    assert _valid(text)
    assert file.parse(text.encode(), "/f/s.toml").path == "/f/s.toml"


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_wrong(text: str, words: str) -> None:
    """The reader and the schema refuse the same files; the reader names the place and what is expected there."""
    assert not _valid(text)
    with pytest.raises(errors.StackFileWrong) as caught:
        file.parse(text.encode(), "/f/s.toml")
    assert words in caught.value.message(str)


def test_the_schema_is_one() -> None:
    """The published schema keeps to its own standard, and knows every option with every value."""
    schema = _schema()
    jsonschema.Draft7Validator.check_schema(schema)
    options = schema["definitions"]["stack"]["properties"]["options"]["properties"]
    assert set(options) == {key.name for key in KEYS}
    for key in KEYS:
        for value in options[key.name]["enum"]:
            Options().with_value(key.name, {True: "on", False: "off"}.get(value, value))
        assert {str(value) for value in key.values} <= set(map(str, options[key.name]["enum"]))


def test_the_example_is_one() -> None:
    """The example file keeps to both, and its first line leads editors to the schema."""
    path = os.path.join(_PROJECT, "examples", "stacks.toml")
    assert [stack.name for stack in load(path).stacks] == ["base", "build", "pristine"]
    with open(path, encoding="utf-8") as text:
        content = text.read()
    assert _valid(content)
    pointer = content.splitlines()[0].removeprefix("#:schema ")
    assert os.path.samefile(
        os.path.join(_PROJECT, "examples", pointer), os.path.join(_PROJECT, "docs", "stack-file.schema.json")
    )


def test_what_it_says() -> None:
    """Every key arrives as the value that it means."""
    first, second = file.parse(VALID["all keys"].encode(), "/f/s.toml").stacks
    assert first.lowers == (Directory("/f/l"), MergedOf("b"), LayersOf("b"))
    assert first.data_only == (Directory("/f/d"), LayersOf("b"))
    assert first.upper == GivenUpper("/f/u", "/f/w")
    assert (first.target, first.allow_weaker) == ("/f/t", True)
    assert first.options.redirect_dir is RedirectDir.ON
    assert first.options.metacopy is Switch.ON
    assert (first.options.userxattr, first.options.volatile) == (Flag.NO, Flag.YES)
    assert (second.upper, second.target, second.allow_weaker) == (KeptUpper(), None, False)
    uppers = {name: file.parse(VALID[name].encode(), "/f/s").stacks[0].upper for name in VALID if name != "empty"}
    assert uppers["none"] is None
    assert uppers["tmpfs"] == TmpfsUpper()
    assert uppers["tmpfs of a size"] == TmpfsUpper(512 << 20)
    assert uppers["size in bytes"] == TmpfsUpper(4096)
    assert uppers["size in GiB"] == TmpfsUpper(1 << 30)


def test_odd_characters_need_no_escape() -> None:
    """A path is what TOML says it is: nothing in it means anything to ovlctl but a dollar and a leading tilde."""
    (stack,) = file.parse(VALID["odd characters"].encode(), "/f/s.toml").stacks
    names = ["a:b", "c,d", "e\\f", "g\nh", " ", 'ü=#"']
    assert stack.lowers == tuple(Directory("/f/" + name) for name in names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x/y", "/f/x/y"),
        ("../x", "/f/../x"),
        ("/x", "/x"),
        ("~", "/home/me"),
        ("~/x", "/home/me/x"),
        ("./~x", "/f/./~x"),
        ("x~", "/f/x~"),
        ("${A}", "/f/one"),
        ("${ROOT}/${A}${A}", "/r/oneone"),
        ("$$A$${A}", "/f/$A${A}"),
        ("${TILDE}", "/f/~/${A}"),
        ("${BYTES}", "/f/\udcff"),
    ],
)
def test_paths(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables and the home directory are replaced once, in the file's own text and not in what comes of it."""
    monkeypatch.setenv("HOME", "/home/me")
    variables = {"A": "one", "ROOT": "/r", "TILDE": "~/${A}", "BYTES": "\udcff"}
    assert absolute(text, base="/f", place="p", file="/f/s.toml", environment=variables) == expected


def test_unset_variables_are_errors() -> None:
    """A variable that is not set is never the empty string, and the message names it; nor is an unknown user a name."""
    with pytest.raises(errors.VariableUnset, match="needs the environment variable NO_SUCH, which") as caught:
        absolute("${NO_SUCH}/etc", base="/f", place="stack.a.target", file="/f/s.toml", environment={})
    assert "stack.a.target" in str(caught.value)
    with pytest.raises(errors.StackFileWrong, match="no home directory"):
        absolute("~nobody-has-this-name/x", base="/f", place="p", file="/f/s.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[stack.a]\nlowers = [l]\n", "line 2, column 11"),
        (b"[stack.a]\n[stack.a]\n", "line 2"),
        (b"[stack.a]\nlowers = ['\xff']\n", "not UTF-8 (at line 2)"),
        (b"x = " + b"[" * 5000, "nested"),
    ],
    ids=["value", "table twice", "bytes", "depth"],
)
def test_what_is_no_toml(content: bytes, words: str) -> None:
    """A mistake in the TOML itself is told with its line."""
    with pytest.raises(errors.StackFileSyntax) as caught:
        file.parse(content, "/f/s.toml")
    assert words in caught.value.message(str)


def test_the_nearest_key_is_proposed() -> None:
    """A misspelt key is answered by the one that was probably meant."""
    for text, near in (
        ("uper = 'none'", "upper"),
        ("options = {metacpy = 'on'}", "metacopy"),
        ("lower = []", "lowers"),
    ):
        with pytest.raises(errors.StackFileWrong) as caught:
            file.parse((_A + text).encode(), "/f/s.toml")
        assert caught.value.hint() == f"did you mean `{near}`?"


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("target = 't'", "target = 'x/../t'", "target"),
        ("upper = {dir='u', work='w'}", "upper = {dir='u', work='v'}", "upper or work directory"),
        ("upper = {dir='u', work='w'}", "upper = {dir='w', work='v'}", "upper or work directory"),
    ],
    ids=["target", "upper", "work and upper"],
)
def test_nothing_is_shared(first: str, second: str, what: str) -> None:
    """Two stacks have neither a target nor a writable directory in common, however it is spelt."""
    text = f"{_A}{first}\n[stack.b]\nlowers = ['l']\n{second}\n"
    with pytest.raises(errors.StackFileWrong, match=f"a and b in .* have one {what}"):
        file.parse(text.encode(), "/f/s.toml")


def test_files_that_cannot_be_read(scratch: str) -> None:
    """What is not there, or no plain file, is an error of its own; nobody waits for a pipe."""
    os.mkdir(f"{scratch}/d")
    os.mkfifo(f"{scratch}/pipe")
    os.symlink("nowhere", f"{scratch}/link")
    kinds: dict[str, type[OvlError]] = {
        f"{scratch}/no": errors.PathMissing,
        f"{scratch}/link": errors.PathMissing,
        f"{scratch}/d": errors.StackFileWrong,
        f"{scratch}/pipe": errors.StackFileWrong,
        "/dev/zero": errors.StackFileWrong,
        "/x\0": errors.BadUsage,
    }
    for path, kind in kinds.items():
        with pytest.raises(kind):
            file.read(path)


def test_a_link_to_a_file(scratch: str) -> None:
    """Relative paths begin where the file really is, and so the file has one name whoever asks."""
    os.mkdir(f"{scratch}/real")
    with open(f"{scratch}/real/s.toml", "w", encoding="utf-8") as out:
        out.write(_A)
    os.symlink("real/s.toml", f"{scratch}/link.toml")
    assert load(f"{scratch}/link.toml") == load(f"{scratch}/real/s.toml")
    assert load(f"{scratch}/link.toml").stacks[0].lowers == (Directory(f"{scratch}/real/l"),)
