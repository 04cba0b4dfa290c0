"""What the doctor says of mount options against mounting each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.options import KEYS, Flag
from tests import capabilities, trees
from tests.ops.doctor.answers import by_mounting, usable

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

pytestmark = capabilities.needs_overlay

VALUES = [(key.name, value) for key in KEYS for value in ([None] if key.values is Flag else [*map(str, key.values)])]

# Mounts every option alone, on a tmpfs of its own; what came of each, with the options then in force.
_MOUNT_EACH = """
import json, os, sys
from ovlctl.kernel import mounts, namespaces
from ovlctl.kernel.mount import MS, mount
base, always, values = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if always:
    namespaces.enter_user_namespace()
else:
    namespaces.enter_private_mounts()
mount("t", base, "tmpfs", MS(0))
outcome = []
for number, (key, value) in enumerate(values):
    place = f"{base}/{number}"
    for name in ("", "/l", "/u", "/w", "/m"):
        os.mkdir(place + name)
    words = f"lowerdir={place}/l,upperdir={place}/u,workdir={place}/w"
    words += "".join("," + word for word in dict.fromkeys(filter(None, (always, f"{key}={value}" if value else key))))
    try:
        mount("t", f"{place}/m", "overlay", MS(0), words.encode())
    except OSError as error:
        outcome.append(error.strerror)
    else:
        outcome.append(list(mounts.mount_at(f"{place}/m").options))
print(json.dumps(outcome))
"""

#: What a mount shows when it is in force; other values may be the default, which is never shown.
_SHOWN = {("redirect_dir", "on"), ("index", "on"), ("metacopy", "on"), ("nfs_export", "on"), ("verity", "require")}


def compare(said: dict[tuple[str, str | None], Answer], outcome: list[str | list[str]]) -> None:
    """Each answer is what came of mounting."""
    for (key, value), result in zip(VALUES, outcome, strict=True):
        in_force = isinstance(result, list) and ((key, value) not in _SHOWN or f"{key}={value}" in result)
        assert said[key, value] is (Answer.YES if in_force else Answer.NO), (key, value, result)


@capabilities.needs_root
def test_as_root(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Root: every value that the kernel knows can be had."""
    base = trees.make(os.path.join(scratch, "base"), {})
    argv = [sys.executable, "-c", _MOUNT_EACH, base, "", json.dumps(VALUES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    compare(usable(), json.loads(done.stdout))


@capabilities.needs_userns_overlay
def test_as_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """Without root: those that want trusted xattrs are not to be had, although the kernel knows them."""
    base = ordinary_user.home
    mounted = ordinary_user.run([sys.executable, "-c", _MOUNT_EACH, base, "userxattr", json.dumps(VALUES)])
    code = (
        "import json; from tests.ops.doctor.answers import usable\n"
        "print(json.dumps([[*at, answer] for at, answer in usable().items()]))"
    )
    said = ordinary_user.run([sys.executable, "-c", code])
    assert (mounted.stderr, said.stderr) == ("", "")
    answers = {(key, value): Answer(answer) for key, value, answer in json.loads(said.stdout)}
    compare(answers, json.loads(mounted.stdout))
    assert answers["metacopy", "on"] is Answer.NO
    assert answers["userxattr", None] is Answer.YES


def test_an_option_that_is_not_there() -> None:
    """The answer to an option says which of its values the kernel lacks, and since when it has them."""
    from ovlctl.ops.doctor import host
    from ovlctl.ops.doctor.practice import option_question
    from ovlctl.ops.doctor.trial import Trial, Way
    from ovlctl.ops.doctor.values import Reply

    replies = {option_question(key, value): Reply(answer=Answer.YES) for key, value in VALUES}
    replies[option_question("uuid", "null")] = Reply(answer=Answer.NO)
    report = host.report(Trial(way=Way.HERE, replies=replies))
    uuid = next(finding for finding in report.findings if finding.ability == "uuid")
    assert uuid.answer is Answer.NO
    assert "null" in uuid.tried.text()
    assert uuid.fix is not None
    assert uuid.fix.text().startswith("Linux 6.6")


@capabilities.needs_root
def test_by_mounting_as_root() -> None:
    """Old kernels, which cannot be asked, give the same answers by mounting; here they can be compared."""
    found = by_mounting()
    asked = {f"{key}={value}": answer for (key, value), answer in usable().items()}
    assert found == asked


@capabilities.needs_userns_overlay
def test_by_mounting_as_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """In a user namespace only what the rules refuse beforehand is not tried."""
    code = "import json; from tests.ops.doctor.answers import by_mounting; print(json.dumps(by_mounting()))"
    done = ordinary_user.run([sys.executable, "-c", code])
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert set(found.values()) == {"yes"}
    missing = {"redirect_dir=on", "redirect_dir=off", "redirect_dir=follow", "metacopy=on"}
    assert {f"{key}={value}" for key, value in VALUES} - set(found) == missing
