"""Names of what can be needed."""

from __future__ import annotations

import pytest

from ovlctl.errors import BadUsage
from ovlctl.ops.doctor import needs
from ovlctl.ops.doctor.needs import Need
from ovlctl.ops.doctor.values import Ability


@pytest.mark.parametrize("need", needs.known(), ids=lambda need: need.name)
def test_every_name_is_understood(need: Need) -> None:
    """Each name, in any case and with dashes or underscores, is itself."""
    for spelling in (need.name, need.name.upper(), need.name.replace("_", "-"), need.name.replace("-", "_")):
        assert needs.parse([spelling]) == (need,)


def test_names_are_distinct() -> None:
    """No two names differ only in what does not count."""
    plain = [need.name.lower().replace("_", "-") for need in needs.known()]
    assert len(set(plain)) == len(plain)


def test_lists() -> None:
    """Lists add up, blanks do not count, and what is named twice is needed once."""
    assert needs.parse(["metacopy, reflink", "rootless,metacopy"]) == (
        Need(ability=Ability.METACOPY),
        Need(ability=Ability.REFLINK),
        Need(ability=Ability.ROOTLESS),
    )
    assert needs.parse(["uuid=null"]) == (Need(ability=Ability.UUID, value="null"),)


@pytest.mark.parametrize(
    ("wrong", "near"), [("reflinks", "reflink"), ("metacpy=on", "metacopy=on"), ("d-typ", "d_type"), ("", None)]
)
def test_wrong_names(wrong: str, near: str | None) -> None:
    """What is no name is refused, with the nearest one and the way to all of them."""
    with pytest.raises(BadUsage) as caught:
        needs.parse([wrong])
    hint = caught.value.hint()
    assert hint is not None
    assert "--need help" in hint
    assert (near is None) or f"`{near}`" in hint
