"""Steps in words."""

from __future__ import annotations

from ovlctl.ops.trying.values import Action, GroundLayer, Step, StepKind, Wish
from ovlctl.overlay.marks import Mark
from ovlctl.show.trying import layer_text, step_text, wish_text

GROUND = (
    GroundLayer(label="scratch upper", directory="/s"),
    GroundLayer(label="upper", directory="/u"),
    GroundLayer(label="lower:0", directory="/l"),
)


def test_every_kind_of_step_has_a_sentence() -> None:
    """One printable line each, with the name escaped wherever it stands."""
    for kind in StepKind:
        for marks in ((), (Mark.WHITEOUT,)):
            for size, cloned in ((0, None), (5, None), (5, True), (5, False)):
                step = Step(kind=kind, path="a\n\x1b", layer=0, source=2, bytes=size, cloned=cloned, marks=marks)
                text = step_text(step, GROUND)
                assert text.isprintable()
                assert text


def test_layers_are_called_by_their_names() -> None:
    """Numbers never show."""
    assert [layer_text(number, GROUND) for number in range(3)] == ["the scratch upper", "the upper", "lower:0"]
    assert layer_text(None, GROUND) == "a layer"


def test_wishes() -> None:
    """As one would say them."""
    assert wish_text(Wish(action=Action.RENAME, path="a", to="b c")) == "rename /a to /b c"
    assert wish_text(Wish(action=Action.CHMOD, path="a", mode=0o60)) == "chmod 060 /a"
    assert wish_text(Wish(action=Action.DELETE, path="\n")) == r"delete /\x0a"
