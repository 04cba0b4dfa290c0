"""Which directory on the way keeps a layer's object out of sight, and what does it."""

from __future__ import annotations

import pytest

from ovlctl.ops import reading
from ovlctl.ops.explain import explain
from ovlctl.overlay.layers import Role
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.resolution import Verdict
from ovlctl.show.explain import explanation_text
from tests import capabilities
from tests.overlay.made import Case, Made, directory, file, new_directory, whiteout

pytestmark = capabilities.needs_root

LOWER = {"d/e/f": file(b"hidden"), "d": directory(), "d/e": directory()}


@pytest.mark.parametrize(
    ("top", "path", "verdict", "words"),
    [
        (
            {"d": directory(opaque=b"y"), "d/e": directory()},
            "d",
            Verdict.BEHIND_OPAQUE,
            "the opaque directory in upper",
        ),
        ({"d": directory(), "d/e": directory(opaque=b"y")}, "d/e", Verdict.BEHIND_OPAQUE, "the opaque directory in"),
        ({"d": whiteout()}, "d", Verdict.WHITED_OUT, "the whiteout in upper"),
        ({"d": file()}, "d", Verdict.SHADOWED, "what is in its place in upper"),
        ({"d": directory(redirect=b"/x"), "d/e": directory()}, "d", Verdict.REDIRECTED_AWAY, "the redirect in upper"),
    ],
    ids=["opaque", "opaque further down", "whiteout", "no directory", "redirect"],
)
def test_who_hides_it(scratch: str, top: dict[str, Made], path: str, verdict: Verdict, words: str) -> None:
    """The outermost directory that is no part of the view is named, with what is in its place."""
    case = Case(lowers=(LOWER, {"x": directory()}), upper=top, options=Options(redirect_dir=RedirectDir.ON))
    with new_directory(scratch) as base, reading.opened(reading.of_directories(case.write(base))) as view:
        told = explain(view, "d/e/f")
        (look,) = [look for look in told.layers if look.candidate.present and look.candidate.place.layer.index == 0]
        assert look.hider is not None
        assert (look.hider.path, look.hider.verdict) == (path, verdict)
        text = " ".join(explanation_text(told).split())
        assert f"hidden: the directory /{path} of this layer is, by {words}" in text


def test_a_data_only_layer_is_among_the_layers(scratch: str) -> None:
    """Where the content is in a data-only layer, that object is told last, with what it is and what it gives."""
    lower = {"f": file(b"....", metacopy=b"", redirect=b"/o/1")}
    case = Case(lowers=(lower, {}), data=({"o/1": file(b"data")},), options=Options(metacopy=Switch.ON))
    with new_directory(scratch) as base, reading.opened(reading.of_directories(case.write(base))) as view:
        last = explain(view, "f").layers[-1].candidate
        assert (last.place.layer.role, last.place.path, last.verdict) == (Role.DATA, "o/1", Verdict.DATA)
        assert last.attributes is not None
        assert last.attributes.size == 4
