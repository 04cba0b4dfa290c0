"""Units and lines of fstab: spelled as systemd, mount(8) and libmount read them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ovlctl
from ovlctl import errors
from ovlctl.ops import sets
from ovlctl.ops.boot import fstab, order, systemd_words, units
from ovlctl.ops.sets.declared import StackFile
from tests import trees

_needs_escape = pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd-escape is not installed")
_needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
_needs_findmnt = pytest.mark.skipif(shutil.which("findmnt") is None, reason="findmnt is not installed")

_NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in {b".", b".."}
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(lambda parts: "/" + os.fsdecode(b"/".join(parts)))


@pytest.fixture(autouse=True)
def _at_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's own state directory and an environment as the system manager has it."""
    monkeypatch.delenv("OVLCTL_STATE_DIR", raising=False)
    monkeypatch.setenv("HOME", "/root")


def _file(scratch: str, text: str) -> StackFile:
    trees.make(scratch, {"a": None, "b": None, "u": None, "w": None, "stacks.toml": text})
    return sets.load(f"{scratch}/stacks.toml")


_TWO = """
[stack.one]
lowers = ["a", "b"]
upper = {dir = "u", work = "w"}
target = "t"
[stack.two]
lowers = [{stack = "one"}, "b"]
upper = "none"
target = "t2"
"""


@_needs_escape
@settings(max_examples=60)
@given(_PATHS)
@example("/")
@example("/.hidden/a.b")
@example("//a//b/")
@example("/a-b/c\\x20d")
@example("/a b\n/\udcff/%é:_")
def test_unit_names_as_systemd_escape_gives_them(path: str) -> None:
    """The name of a mount point's unit is what systemd-escape prints, for any bytes."""
    done = subprocess.run(["systemd-escape", "--path", "--suffix=mount", "--", path], capture_output=True, check=True)
    assert systemd_words.unit_name(path) == os.fsdecode(done.stdout).removesuffix("\n")


def test_what_a_line_cannot_hold_is_refused() -> None:
    """Newlines, names that are not UTF-8, values that end in a blank or a backslash, and names too long."""
    for text in ("/a\nb", "/a\rb", "/\x1b[31m", "/\u202e", "/\udcff", "/a ", "/a\\"):
        with pytest.raises(errors.NotWritable):
            systemd_words.value(text)
    for text in ("/a\nb", "/\udcff", "/a\\b"):
        with pytest.raises(errors.NotWritable):
            systemd_words.word(text)
    assert systemd_words.word("""/a"b'%""") == """ "/a"'"'"b'%%" """.strip()
    assert systemd_words.argument('a b$"%\\') == '"a b$$\\"%%\\\\"'
    with pytest.raises(errors.NotWritable):
        systemd_words.unit_name("/" + "-" * 80)
    for text in ("/a\nb", "/\x1b[31m", "/\udcff"):
        with pytest.raises(errors.NotWritable):
            systemd_words.fstab_field(text)


@_needs_findmnt
@settings(max_examples=30)
@given(st.lists(st.text("ab# \t\\\",'%é", min_size=1, max_size=6).map("/{}/x".format), min_size=1, max_size=4))
def test_fstab_fields_as_libmount_reads_them(paths: list[str]) -> None:
    """What libmount reads back from a line is the path that went in."""
    fields = ((systemd_words.fstab_field(f"{path}#x"), systemd_words.fstab_field(path)) for path in paths)
    text = "".join(f"{source} {target} ovlctl nofail 0 0\n" for source, target in fields)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        argv = ["findmnt", "--json", "--list", "--tab-file", file.name, "-o", "SOURCE,TARGET"]
        done = subprocess.run(argv, capture_output=True, check=True)
    read = [(each["source"], each["target"]) for each in json.loads(done.stdout)["filesystems"]]
    assert read == [(f"{path}#x", path) for path in paths]


@_needs_analyze
def test_units_of_a_file(scratch: str) -> None:
    """One unit per stack, in order of the file; systemd has nothing against them, and knows what comes first."""
    file = _file(scratch, _TWO)
    made, notes = units.mounts(file)
    assert notes == ()
    one, two = made
    assert (one.name, one.stacks) == (systemd_words.unit_name(f"{scratch}/t"), ("one",))
    assert f"What={file.path}#one\nWhere={scratch}/t\nType=ovlctl\n" in one.text
    for path in "abuw":
        assert f"RequiresMountsFor={scratch}/{path}\n" in one.text
    assert f"Requires={one.name}\nAfter={one.name}\n" in two.text
    assert "WantedBy=local-fs.target" in two.text
    assert units.verify(made) == ()
    (required,), _ = units.mounts(file, ["one"], required=True)
    assert "RequiredBy=local-fs.target" in required.text


@_needs_analyze
def test_what_systemd_says_is_told() -> None:
    """A unit that systemd finds fault with is named in its own words, without the scratch directory's."""
    bad = units.Unit(name="x.mount", text=f"{units.HEADER}t\n[Mount]\nWhat=x\nWhere=/y\n", stacks=("x",))
    said = units.verify([bad])
    assert said is not None
    assert any("x.mount" in line for line in said)
    assert not any("ovlctl-units-" in line for line in said)


@_needs_analyze
def test_plain_units(scratch: str) -> None:
    """A plain unit is a mount of type overlay with every option said; what it cannot say is refused."""
    file = _file(scratch, _TWO)
    made, _ = units.mounts(file, plain=True)
    assert (
        f"What=overlay\nWhere={scratch}/t\nType=overlay\n"
        f"Options=lowerdir={scratch}/a:{scratch}/b,upperdir={scratch}/u,workdir={scratch}/w,redirect_dir=follow,"
    ) in made[0].text
    assert f"Options=ro,lowerdir={scratch}/t:{scratch}/b," in made[1].text
    assert units.verify(made) == ()
    for lowers, upper in (('["a,b"]', '"none"'), ('["a:b"]', '"none"'), ('["a"]', '"kept"'), ('["a"]', '"tmpfs"')):
        trees.make(scratch, {"bad.toml": f'[stack.x]\nlowers = {lowers}\nupper = {upper}\ntarget = "t"\n'})
        with pytest.raises(errors.NotPlain):
            units.mounts(sets.load(f"{scratch}/bad.toml"), plain=True)


def test_stacks_without_target(scratch: str) -> None:
    """One that others stand on is mounted with them, and said; asked for by name it is refused."""
    hidden = '[stack.hidden]\nlowers = ["a", "b"]\nupper = "none"\n'
    over = '[stack.over]\nlowers = [{stack = "hidden"}, "b"]\nupper = "none"\ntarget = "t"\n'
    file = _file(scratch, hidden + over)
    made, (note,) = units.mounts(file)
    assert [unit.stacks for unit in made] == [("over",)]
    assert "hidden has no target and no unit of its own" in note.text()
    # Its layers have to be there all the same.
    assert f"RequiresMountsFor={scratch}/a\n" in made[0].text
    with pytest.raises(errors.NoMountPoint):
        units.mounts(file, ["hidden"])
    with pytest.raises(errors.NotPlain):
        units.mounts(file, plain=True)
    with pytest.raises(errors.NoMountPoint):
        units.mounts(_file(scratch, hidden))
    with pytest.raises(errors.StackUndeclared):
        units.mounts(file, ["nothing"])
    trees.make(f"{scratch}/d.mstack", {"layer@0": None})
    with pytest.raises(errors.NoMountPoint) as caught:
        fstab.lines(sets.load(f"{scratch}/d.mstack"))
    assert "/etc/fstab yourself" in (caught.value.hint() or "")


def test_uppers_in_memory_end_with_their_unit(scratch: str) -> None:
    """Stopping the unit stops the tmpfs below it."""
    file = _file(scratch, '[stack.m]\nlowers = ["a"]\nupper = "tmpfs"\ntarget = "t"\n')
    ((unit,), _) = units.mounts(file)
    assert "\nPropagatesStopTo=run-ovlctl-stacks-m-tmpfs.mount\n" in unit.text


def test_variables_go_along_or_stop_it(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit carries the variables that the file names, quoted; fstab, which cannot, is refused."""
    monkeypatch.setenv("BASE", f'{scratch}/"%n\\ x')
    file = _file(scratch, '[stack.v]\nlowers = ["${BASE}", "$${HOME}"]\nupper = "none"\ntarget = "t"\n')
    ((unit,), _) = units.mounts(file)
    assert f'\nEnvironment="BASE={scratch}/\\"%%n\\\\ x"\n' in unit.text
    assert "HOME" not in unit.text.partition("[Mount]")[2]
    with pytest.raises(errors.VariablesLost):
        fstab.lines(file)


def test_lines_of_fstab(scratch: str) -> None:
    """Six fields; nofail unless required; what systemd has to wait for, as far as an option can carry the name."""
    trees.make(scratch, {"x y/z": None})
    file = _file(scratch, _TWO.replace('"a"', '"x y/z"').replace('"t2"', '"t 2"'))
    (one, two), _ = fstab.lines(file)
    fields = one.split(" ")
    assert (len(fields), fields[:3], fields[4:]) == (6, [f"{file.path}#one", f"{scratch}/t", "ovlctl"], ["0", "0"])
    options = fields[3].split(",")
    assert options[0] == "nofail"
    assert f"x-systemd.requires-mounts-for={scratch}/b" in options
    assert two.split(" ")[1] == f"{scratch}/t\\0402"
    assert f"x-systemd.requires-mounts-for={scratch}/t" in two.split(" ")[3].split(",")
    (required,), _ = fstab.lines(file, ["one"], required=True)
    assert "nofail" not in required


def test_nothing_foreign_is_overwritten(scratch: str) -> None:
    """Our own files are replaced; a foreign one, a link or a directory stops everything before it begins."""
    file = _file(scratch, _TWO)
    made, _ = units.mounts(file)
    place = trees.make(f"{scratch}/units", {})
    first, second = units.write(made, place)
    assert units.write(made, place) == (first, second)
    assert sorted(os.listdir(place)) == sorted(unit.name for unit in made)
    os.unlink(first)
    os.unlink(second)
    os.symlink("/dev/null", second)
    with pytest.raises(errors.ForeignFile):
        units.write(made, place)
    assert not os.path.exists(first)
    os.unlink(second)
    trees.make(place, {os.path.basename(second): "[Mount]\n"})
    with pytest.raises(errors.ForeignFile):
        units.write(made, place)
    with pytest.raises(errors.PathMissing):
        units.write(made, f"{scratch}/none")


@_needs_analyze
def test_the_users_own_service(scratch: str) -> None:
    """Without root a service of the user's manager runs up and down; systemd has nothing against it."""
    file = _file(scratch, _TWO)
    unit = units.user_service(file, ["one"])
    assert unit.name == "ovlctl-stacks.service"
    assert f" up {file.path} one\n" in unit.text
    assert f" down {file.path} one\n" in unit.text
    assert "WantedBy=default.target" in unit.text
    assert [line for line in units.verify([unit], user=True) or () if "is not executable" not in line] == []
    with pytest.raises(errors.StackUndeclared):
        units.user_service(file, ["nothing"])


def test_what_lies_above_another_path_is_implied() -> None:
    """Whoever waits for a path waits for everything above it."""
    assert order.outermost_left_out(["/a", "/a/b", "/ab", "/a/b", "/"]) == ("/a/b", "/ab")


def test_a_unit_waits_for_the_program_itself() -> None:
    """The file, the interpreter and this package have to be there, whatever disks they are on."""
    waited = order.helper_paths(StackFile(path="/s.toml", stacks=()))
    assert waited[0] == "/s.toml"
    package = os.path.dirname(ovlctl.__file__ or "")
    assert package in waited or package.startswith("/usr/")
    assert sys.prefix in waited or sys.prefix.startswith("/usr")
