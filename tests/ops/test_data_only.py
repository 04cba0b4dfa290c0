"""Data-only lowers: layers that supply content to metacopy files and show no names of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import Api
from ovlctl.kernel import xattr
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.conftest import Cli

pytestmark = capabilities.needs_root


@capabilities.needs_data_only
@pytest.mark.parametrize("api", [Api.MOUNT, pytest.param(Api.FSCONFIG, marks=capabilities.needs_lowerdir_plus)])
@pytest.mark.parametrize("count", [1, 3])
def test_data_comes_from_below(scratch: str, state_dir: str, cli: Cli, api: Api, count: int) -> None:
    """A metacopy file made by the kernel reads its data from a data-only lower, which adds no names to the view."""
    data = trees.make(os.path.join(scratch, "data"), {"content:,\\": "the data", "other": "unseen"})
    more = [trees.make(os.path.join(scratch, f"more-{number}"), {str(number): ""}) for number in range(count - 1)]
    metadata = os.path.join(scratch, "metadata")
    for name in (metadata, os.path.join(scratch, "work")):
        os.mkdir(name)
    metacopy = ovlctl.Options(metacopy=ovlctl.Switch.ON)
    stack = ovlctl.Stack([data], upper=metadata, work=os.path.join(scratch, "work"), options=metacopy)
    with ovlctl.mount(stack) as mounted:
        # A rename leaves an absolute redirect, which data-only layers are found by.
        os.mkdir(os.path.join(mounted, "sub"))
        os.rename(os.path.join(mounted, "content:,\\"), os.path.join(mounted, "sub", "name"))
        os.unlink(os.path.join(mounted, "other"))
    assert xattr.get(os.path.join(metadata, "sub", "name"), "trusted.overlay.metacopy") is not None

    stack = ovlctl.Stack([metadata], data_only=[*more, data], options=metacopy)
    with ovlctl.mount(stack, name="x", api=api) as mounted:
        assert sorted(os.listdir(mounted)) == ["sub"]
        with open(os.path.join(mounted, "sub", "name")) as file:
            assert file.read() == "the data"
            file.close()
        shown = cli("show", "x", "--json").data
        assert (shown["lowers"], shown["data_only"]) == ([metadata], [*more, data])
        assert [layer["role"] for layer in shown["layers"]] == ["lower", *["data-only"] * count]
