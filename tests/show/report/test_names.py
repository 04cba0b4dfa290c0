"""Names, sizes and commands: the page's scripts write them as ovlctl does."""

from __future__ import annotations

import os
import sys
import unicodedata
from base64 import b64encode
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ovlctl.show.names import show_argument, show_name
from ovlctl.show.sizes import format_size
from tests.browser.tools import call, node
from tests.needs import unless
from tests.show.report.made import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = unless(node(), f"needs Node.js: {node().reason}")

_BYTES = "Uint8Array.from(atob({}), (each) => each.charCodeAt(0))"
_SHOW = f"ARGUMENT.map((each) => shownBytes({_BYTES.format('each')}))"
_ARGUMENT = f"ARGUMENT.map((each) => shownArgument({_BYTES.format('each')}))"
_TYPED = "ARGUMENT.map((each) => String.fromCharCode(...typedBytes(each)))"
_UNKNOWN = (
    "[...Array(0x110000).keys()].filter((each) => /\\p{Cn}/u.test(String.fromCodePoint(each))"
    " || (each >= 0xd800 && each < 0xe000))"
)

_PIECES = (b"\\", b"'", b"\xe2\x80\xae", b"\xed\xa0\x80", b" ", b"a", b"\xf4\x90", b"\x7f")
_names = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=24),
        st.text(min_size=1, max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.sampled_from(_PIECES)).map(b"".join),
    ).map(lambda name: name.replace(b"/", b"_")),
    max_size=200,
)


def _sent(names: Sequence[bytes]) -> list[str]:
    return [b64encode(name).decode("ascii") for name in names]


def _assigned(name: bytes) -> bool:
    # Python and the browser may know different versions of Unicode: nobody knows what a later one adds.
    return not any(unicodedata.category(char) == "Cn" for char in os.fsdecode(name) if not "\ud800" <= char <= "\udfff")


def test_every_character() -> None:
    """Every code point that both know is shown alike; what either does not know is escaped by it."""
    unknown = set(call(_UNKNOWN, None))
    known = [
        chr(point)
        for point in range(sys.maxunicode + 1)
        if point not in unknown and unicodedata.category(chr(point)) != "Cn" and chr(point) not in "/\0"
    ]
    shown = call(_SHOW, _sent([char.encode() for char in known]), "names.js")
    assert [(char, show_name(char)) for char in known] == list(zip(known, shown, strict=True))


@settings(max_examples=20)
@given(_names)
def test_any_bytes(names: list[bytes]) -> None:
    """Names are any bytes, and arguments of a shell are made of any of them."""
    names = [name for name in (*names, *HOSTILE) if _assigned(name)]
    texts = list(map(os.fsdecode, names))
    assert call(_SHOW, _sent(names), "names.js") == list(map(show_name, texts))
    assert call(_ARGUMENT, _sent(names), "names.js") == list(map(show_argument, texts))


def test_what_is_shown_can_be_typed() -> None:
    """A name typed the way it is shown means its bytes."""
    shown = [show_name(os.fsdecode(name)) for name in HOSTILE]
    assert [text.encode("latin-1") for text in call(_TYPED, shown, "names.js")] == list(HOSTILE)


def test_sizes() -> None:
    """Sizes are rounded alike."""
    sizes = [0, 1, 1023, 1024, 1025, 1535, 1536, 10_234, 10_235, 102_348, 1 << 20, (1 << 20) - 1, 1_048_051]
    sizes += [3 << power for power in range(48)] + [7**power for power in range(18)] + [(1 << 30) - 512, 1023 << 20]
    assert call("ARGUMENT.map(shownSize)", sizes, "names.js") == list(map(format_size, sizes))
