"""Both directions of the kernel's spelling, without a kernel: what goes into a string comes out of it."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from ovlctl.overlay import encode
from ovlctl.overlay.live import Defaults, LiveStack, effective, layers
from ovlctl.overlay.marks import HandleRecord, decode_handle
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.stack import Stack

#: Absolute paths of any bytes but NUL.
paths = st.binary(min_size=1, max_size=20).map(lambda raw: os.fsdecode(b"/" + raw.replace(b"\0", b":")))
stacks = st.builds(
    Stack,
    st.lists(paths, min_size=1, max_size=4),
    data_only=st.lists(paths, max_size=3),
    upper=paths,
    work=paths,
    options=st.builds(Options, index=st.sampled_from([None, *Switch])),
)


def _split(data: bytes) -> list[str]:
    """Split mount(2) data at its unescaped commas, as the kernel does (ovl_next_opt in fs/overlayfs/params.c)."""
    words, word, escaped = [], bytearray(), False
    for byte in data:
        if byte == ord(",") and not escaped:
            words.append(os.fsdecode(bytes(word)))
            word.clear()
        else:
            word.append(byte)
        escaped = byte == ord("\\") and not escaped
    return [*words, os.fsdecode(bytes(word))]


@given(stacks)
def test_mount_string_round_trip(stack: Stack) -> None:
    """Reading the words of a mount(2) string gives the stack back."""
    words = _split(encode.mount_data(stack, stack.options))
    live = layers(words)
    assert (live.lowers, live.data_only) == (stack.lowers, stack.data_only)
    assert stack.upper in LiveStack.readings(live.upper or "")
    assert stack.work in LiveStack.readings(live.work or "")
    assert effective(words, Defaults()).index is (stack.options.index or Switch.OFF)


@given(stacks)
def test_fsconfig_round_trip(stack: Stack) -> None:
    """Reading what fsconfig(2) was given, as strings or by descriptor, gives the stack back."""
    for by_descriptor in (False, True):
        words = [
            f"{setting.key}={setting.path if by_descriptor else setting.text}"
            for setting in encode.path_settings(stack)
        ]
        live = layers(words)
        assert (live.lowers, live.data_only) == (stack.lowers, stack.data_only)
        assert stack.upper in LiveStack.readings(live.upper or "")


@given(st.binary(max_size=60))
def test_any_bytes_as_a_handle_record(value: bytes) -> None:
    """A crafted mark is either a whole record or none."""
    record = decode_handle(value)
    assert record is None or isinstance(record, HandleRecord)


def test_a_lone_path_is_one_lower() -> None:
    """A path given where a list belongs is not taken apart into its letters."""
    assert Stack("/a").lowers == ("/a",)
