"""How a diagnosis is told, for hosts that this one is not."""

from __future__ import annotations

import json
import os

import jsonschema

from ovlctl.errors import Note
from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.doctor.catalogue import finding
from ovlctl.ops.doctor.values import Ability, Diagnosis, HostReport, Limit, Parameter, UserReport
from ovlctl.show.doctor import diagnosis_json, diagnosis_text

_SCHEMA = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema", "doctor.json")


def _diagnosis(*findings: tuple[Ability, Answer, str | Note]) -> Diagnosis:
    host = HostReport(
        release="6.1\x1b[31m",
        machine="riscv64",
        findings=tuple(finding(*each) for each in findings),
        parameters=(
            Parameter(name="index", value="Y", upstream="N"),
            Parameter(name="metacopy", value=None, upstream="N"),
        ),
        limits=(Limit(name="mounts", value=None, meaning="mounts in one mount namespace"),),
        selinux="enforcing",
        apparmor="evil\nprofile",
        advice=("give the whole mount one label",),
    )
    return Diagnosis(host=host, user=UserReport(uid=7, gid=8, initial_namespace=False, findings=()), directories=())


def test_defaults_and_security_modules() -> None:
    """Defaults that a distribution changed, and modules that have a say, are told; names in them are escaped."""
    text = diagnosis_text(_diagnosis(), everything=False)
    assert "index=Y instead of N" in text
    assert "metacopy=" not in text
    assert "SELinux is enforcing" in text
    assert "give the whole mount one label" in text
    assert "evil\\x0aprofile" in text
    assert "uid 7, gid 8, inside a user namespace" in text
    assert "limits" not in text
    assert "?  mounts in one mount namespace" in diagnosis_text(_diagnosis(), everything=True)
    assert all(line.isprintable() for line in text.splitlines())


def test_marks_are_words() -> None:
    """Each answer has a mark that is no colour; commands with a path stay on one line."""
    long = "/a/path/that/is/rather/long" * 4
    text = diagnosis_text(
        _diagnosis(
            (Ability.OVERLAY, Answer.YES, "listed"),
            (Ability.INDEX, Answer.NO, "not known"),
            (Ability.KERNEL_LOG, Answer.UNKNOWN, Note("nobody knows {}", ("a\nb",))),
        ),
        everything=False,
    )
    assert "\n  ok  overlay\n  no  index       not known\n      cost: hard links" in text
    assert "\n  ?   kernel-log  nobody knows a\\x0ab\n" in text
    assert "\x1b" not in text
    told = finding(Ability.WRITABLE, Answer.NO, "no", fix=Note("sudo chattr -i {}", (long + " x",)))
    host = _diagnosis().host
    report = Diagnosis(
        host=host, user=UserReport(uid=0, gid=0, initial_namespace=True, findings=(told,)), directories=()
    )
    assert f"\n      fix:  sudo chattr -i '{long} x'" in diagnosis_text(report, everything=False).replace("$'", "'")


def test_json_keeps_to_the_schema() -> None:
    """Also where security modules are on, and without any directory."""
    data = diagnosis_json(_diagnosis((Ability.INDEX, Answer.NO, "not known")), ())
    with open(_SCHEMA, encoding="ascii") as file:
        schema = json.load(file)
    jsonschema.validate(data, {**schema["properties"]["data"], "$defs": schema["$defs"]})
    assert data["host"]["apparmor"] == "evil\\x0aprofile"
