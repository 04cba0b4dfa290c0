"""``ovlctl find`` as a user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests import trees
from tests.capabilities import needs_root
from tests.schemas import valid

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser


def _stack(scratch: str) -> list[str]:
    trees.make(
        f"{scratch}/low",
        {"etc/app.conf": "1", "etc/other": "22", "var/log/big.log": "x" * 3000, "var/small.log": "x", "a\x1b[1mb": ""},
    )
    trees.make(f"{scratch}/up", {"etc/app.conf": "changed", "etc/new.conf": "4"})
    return ["-l", f"{scratch}/low", "--upper", f"{scratch}/up", "--userxattr"]


def _paths(cli: Cli, scratch: str, *words: str) -> list[str]:
    done = cli("find", *_stack(scratch), *words)
    return [line.split()[-1] for line in done.stdout.splitlines()]


def test_by_name_size_sign_kind_and_layer(scratch: str, cli: Cli) -> None:
    """Each by itself and together, in the order of the tree or by size."""
    assert _paths(cli, scratch, "conf") == ["etc/app.conf", "etc/new.conf"]
    assert _paths(cli, scratch, "tc/app") == ["etc/app.conf"]
    assert _paths(cli, scratch, "conf", "sign:+") == ["etc/new.conf"]
    assert _paths(cli, scratch, "kind:dir", "layer:0") == ["var/", "var/log/"]
    assert _paths(cli, scratch, "size:>1K") == ["var/log/big.log"]
    assert _paths(cli, scratch, "log", "--by-size") == ["var/log/big.log", "var/small.log"]
    assert _paths(cli, scratch, "--by-size", "--limit", "2") == ["var/log/big.log", "etc/app.conf"]
    assert _paths(cli, scratch, "--fuzzy", "apcnf")[0] == "etc/app.conf"
    assert _paths(cli, scratch, "--layer", "0", "app") == ["etc/app.conf"]


def test_names_are_escaped_and_json_keeps_to_its_schema(scratch: str, cli: Cli) -> None:
    """No byte of a name reaches the terminal as it is."""
    done = cli("find", *_stack(scratch))
    assert "\x1b" not in done.stdout
    assert "a\\x1b[1mb" in done.stdout
    found = valid("find", cli("find", *_stack(scratch), "conf", "--json").json)["data"]
    assert found[0] == {"path": "etc/app.conf", "kind": "file", "sign": "changed", "layer": "upper", "size": 7}


def test_nothing_found_and_wrong_words(scratch: str, cli: Cli) -> None:
    """3 for nothing, 2 for what cannot be meant, each with one line."""
    words = _stack(scratch)
    assert cli("find", *words, "nowhere").status == 3
    for wrong in ("size:>x", "kind:what", "sign:?", "layer:7"):
        done = cli("find", *words, wrong)
        assert done.status == 2, wrong
        assert done.stderr.startswith("ovlctl: error[")
    assert cli("find", *words, "--fuzzy", "--by-size").status == 2


def test_without_numpy_it_says_what_to_install(scratch: str) -> None:
    """As where only ovlctl itself was installed."""
    code = "import sys; sys.modules['numpy'] = None; from ovlctl.cli.run import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "find", *_stack(scratch)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "pip install 'ovlctl[tui]'" in done.stderr


def test_a_word_is_a_word(scratch: str, cli: Cli) -> None:
    """Blanks in it are looked for; and one that asks for nothing, such as that of an empty variable, is a mistake."""
    low = trees.make(f"{scratch}/low", {"b a": "", "a b": "", "a/b": "", " a": "", "a\nb": ""})
    words = ("-l", low, "--no-userxattr", "--json")
    assert [each["path"] for each in cli("find", *words, "a b").data] == ["a b"]
    assert [each["path"] for each in cli("find", *words, "a\nb").data] == ["a\nb"]
    assert [each["path"] for each in cli("find", *words, "/ ").data] == [" a"]
    for wrong in ("size:", "size:>", "kind:", "sign:,", "layer:"):
        assert cli("find", *words, wrong).status == 2, wrong


@needs_root
def test_what_cannot_be_read_makes_it_partial(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Somebody else's directory may hold what is looked for, in the merged view and in its layer."""
    words = _stack(scratch)[:-1]
    os.chmod(f"{scratch}/low/var", 0o700)
    for more in ((), ("--layer", "0"), ("--layer", "0", "nowhere")):
        done = ordinary_user.ovlctl("find", *words, "--userxattr", *more)
        assert done.status == 6, more
        assert "could not be read: something may be missing here" in done.stderr
    assert ordinary_user.ovlctl("find", *words, "--userxattr", "--layer", "upper").status == 0
