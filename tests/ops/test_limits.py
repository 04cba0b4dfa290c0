"""Stacks at the limits of the kernel: many layers, long paths, names of any bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ovlctl
from ovlctl import errors
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import discover, ladder
from ovlctl.ops.api import Api
from ovlctl.ops.state import locate
from ovlctl.overlay import encode
from ovlctl.overlay.options import stated
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.conftest import Cli

pytestmark = capabilities.needs_mounting

#: How what does not fit into mount(2)'s one page is mounted.
LONG = Api.FSCONFIG if capabilities.lowerdir_plus() else Api.RELATIVE


def lowers(scratch: str, count: int, length: int) -> list[str]:
    """*count* lowers with paths of *length* bytes; each holds a file of its own and one that all have."""
    base = os.path.join(scratch, "layers")
    room = length - len(base) - 2 - 5
    folder = os.path.join(base, *("d" * min(200, room - at) for at in range(0, max(room, 1), 201)))
    made = []
    for number in range(count):
        path = os.path.join(folder, f"{number:05d}") if room > 0 else os.path.join(base, str(number))
        made.append(trees.make(path, {f"only-{number}": str(number), "shared": str(number)}))
    return made


@pytest.mark.parametrize(
    ("count", "length", "api"),
    [
        pytest.param(2, 0, Api.MOUNT, id="two"),
        pytest.param(120, 200, LONG, id="120 of 200 bytes"),
        pytest.param(500, 0, LONG, id="500"),
        pytest.param(3, 300, Api.MOUNT, id="300 bytes in one page"),
        pytest.param(40, 300, LONG, id="40 of 300 bytes"),
    ],
)
@pytest.mark.parametrize("writable", [True, False], ids=["writable", "read-only"])
def test_big_stacks(scratch: str, state_dir: str, count: int, length: int, api: Api, *, writable: bool) -> None:
    """Any number of lowers up to 500 and any path length mounts, reads right, is listed right and unmounts."""
    layers = lowers(scratch, count, length)
    allocate = ovlctl.KeptUpper() if writable else None
    with ovlctl.mount(ovlctl.Stack(layers), allocate=allocate, name="big") as mounted:
        names = set(os.listdir(mounted))
        assert names == {"shared", *(f"only-{number}" for number in range(count))}
        with open(os.path.join(mounted, "shared")) as file:
            assert file.read() == "0"
        overlay = discover.find(locate(), "big")
        assert overlay.stack.lowers == tuple(layers)
        assert overlay.record is not None
        assert overlay.record.api is api
    assert all(each.standing is discover.Standing.KEPT for each in discover.overlays(locate()).overlays)


def test_relative_rung(scratch: str, state_dir: str) -> None:
    """Where only mount(2) exists, 120 paths of 200 bytes still fit, and the record tells them whole."""
    layers = lowers(scratch, 120, 200)
    before = os.getcwd()
    with ovlctl.mount(ovlctl.Stack(layers), name="rel", api=Api.RELATIVE) as mounted:
        assert os.getcwd() == before
        with open(os.path.join(mounted, "only-119")) as file:
            assert file.read() == "119"
        overlay = discover.find(locate(), "rel")
        assert overlay.mount is not None
        assert overlay.mount.options[0].startswith("lowerdir=00000:00001:")
        assert overlay.stack.lowers == tuple(layers)


def test_501_lowers(scratch: str, state_dir: str) -> None:
    """One lower too many is refused with the reason and the limit."""
    with pytest.raises(errors.TooManyLowers, match="501 lowers are more than the 500"):
        ovlctl.mount(ovlctl.Stack(lowers(scratch, 501, 0)))
    assert not os.path.exists(state_dir)


def test_long_string_never_reaches_the_kernel(scratch: str, state_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option string of over 4095 bytes is refused, through the front door and below all checks."""
    layers = lowers(scratch, 120, 200)
    called: list[object] = []
    monkeypatch.setattr(ladder, "mount", lambda *args: called.append(args))
    with pytest.raises(errors.OptionsTooLong, match="4095"):
        ovlctl.mount(ovlctl.Stack(layers), api=Api.MOUNT)
    request = ladder.Request(stack=ovlctl.Stack(layers), told=ovlctl.Options(), target=scratch, source="x")
    assert not called
    monkeypatch.undo()
    with pytest.raises(errors.OptionsTooLong, match="4095"):
        ladder.MountRung().mount(request)


@pytest.mark.parametrize(("length", "fits"), [(4095, True), (4096, False)])
def test_4095_bytes_are_not_cut(scratch: str, state_dir: str, length: int, *, fits: bool) -> None:
    """The longest string that mount(2) takes arrives whole, its last byte included; one byte more is refused."""
    told = stated(ovlctl.Options(), trusted_xattrs=in_initial_user_namespace())
    layers = [os.path.join(scratch, "lowA")]

    def room() -> int:
        return length - len(encode.mount_data(ovlctl.Stack(layers), told))

    each = len(":" + os.path.join(scratch, ""))
    while room() > 2 * (each + 100):
        layers.append(os.path.join(scratch, f"{len(layers):0100}"))
    layers.append(os.path.join(scratch, f"{len(layers):0{room() - each}}"))
    assert len(encode.mount_data(ovlctl.Stack(layers), told)) == length
    for layer in layers:
        trees.make(layer, {"which": os.path.basename(layer)})
    if not fits:
        with pytest.raises(errors.OptionsTooLong, match="4096 bytes"):
            ovlctl.mount(ovlctl.Stack(layers), api=Api.MOUNT)
        return
    with ovlctl.mount(ovlctl.Stack(layers), api=Api.MOUNT) as mounted:
        assert mounted.overlay.stack.lowers == tuple(layers)


#: Bytes that mean something to one of the parsers on the way, and some that no UTF-8 text has.
_SPICE = [b":", b",", b"\\", b" ", b"\n", b"#", b'"', b"=", b"\t", b"\xff", b"\xc3", b"'", b"%", b"\x1b", b"a", b"::"]
names = st.lists(st.sampled_from(_SPICE), min_size=1, max_size=12).map(b"".join).filter(lambda name: name != b".")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(names, min_size=6, max_size=6, unique=True), api=st.sampled_from(Api), writable=st.booleans())
def test_any_name(scratch: str, state_dir: str, cli: Cli, parts: list[bytes], api: Api, *, writable: bool) -> None:
    """Lowers, upper, work and target of any bytes mount, and ``ls --json`` gives the same bytes back."""
    import tempfile

    base = tempfile.mkdtemp(dir=scratch)
    low1, low2, low3, upper, work, target = (os.fsdecode(os.path.join(os.fsencode(base), part)) for part in parts)
    for number, path in enumerate((low1, low2, low3)):
        trees.make(path, {"shared": str(number), f"only-{number}": ""})
    for path in (upper, work, target):
        os.mkdir(path)
    stack = ovlctl.Stack([low1, low2, low3], upper=upper, work=work)
    if not writable:
        stack = ovlctl.Stack([low1, low2, low3])
    with ovlctl.mount(stack, target, name="spicy", api=api) as mounted:
        assert {"shared", "only-0", "only-1", "only-2"} <= set(os.listdir(mounted))
        listed = next(each for each in cli("ls", "--json").data if each["name"] == "spicy")
        assert _bytes(listed, "lowers") == [os.fsencode(path) for path in (low1, low2, low3)]
        assert _bytes(listed, "target") == [os.fsencode(target)]
        if writable:
            assert _bytes(listed, "upper") == [os.fsencode(upper)]
            assert _bytes(listed, "work") == [os.fsencode(work)]
        for text in (cli("ls").stdout, cli("show", "spicy").stdout):
            assert text.replace("\n", "").isprintable()


def _bytes(listed: dict[str, object], key: str) -> list[bytes]:
    """The bytes of the path or paths under *key*, as design.md says JSON carries them."""
    import base64

    shown, encoded = listed[key], listed.get(f"{key}_b64")
    texts = shown if isinstance(shown, list) else [shown]
    codes = encoded if isinstance(encoded, list) else [encoded] * len(texts)
    pairs = zip(texts, codes, strict=True)
    return [base64.b64decode(code) if code else os.fsencode(text) for text, code in pairs]
