"""Run in the guest when it has booted: look at what is mounted and report it over the second serial line."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

KEPT = "/mnt/kept-%n upper"
FSTAB = "/mnt/in fstab"
#: The directory above the layer with a backslash, as systemctl quotes it.
WEIRD = '"/srv/we\\"ird \'n %n"'
#: Mount point to source.
WANTED = {
    "/mnt/unit": "ovlctl:unit",
    KEPT: "ovlctl:kept",
    "/mnt/over": "ovlctl:over",
    FSTAB: "ovlctl:fstab",
    "/mnt/over-hidden": "ovlctl:over-hidden",
    "/mnt/memory": "ovlctl:memory",
    "/mnt/plain": "overlay",
}
MEMORY_UNIT, MEMORY = "mnt-memory.mount", "/run/ovlctl/stacks/memory/tmpfs"


def main() -> None:
    """Report."""
    first = not os.path.exists("/srv/booted")
    Path("/srv/booted").touch()
    overlays = mounted()
    checks = {f"{point} is mounted": overlays.get(point) == source for point, source in WANTED.items()}
    checks["nothing failed"] = not output("systemctl", "list-units", "--failed", "--no-legend")
    checks["the mounts stood when local-fs.target was reached"] = before_local_fs()
    checks["top covers base"] = text("/mnt/unit/f") in {"top", "first boot"} and text("/mnt/unit/g") == "base"
    checks["a stack stands on the merged view of another"] = text("/mnt/over/f") == "top"
    checks["a name with quotes, blanks, percent signs and backslashes is a layer"] = text(f"{KEPT}/f") == "weird"
    waits = output("systemctl", "show", "--property=RequiresMountsFor", "mnt-kept\\x2d\\x25n\\x20upper.mount")
    checks["systemd waits for that layer by name"] = WEIRD in waits
    kept = ("/mnt/unit/new", f"{KEPT}/new", f"{FSTAB}/new", "/mnt/plain/new")
    for path in kept:
        if first:
            Path(path).write_text("first boot\n")
        else:
            checks[f"{path} is as written at the first boot"] = text(path) == "first boot"
    if first:
        Path("/mnt/memory/new").write_text("first boot\n")
        subprocess.run(["systemctl", "stop", MEMORY_UNIT], check=False)
        # The tmpfs is stopped by a job of its own, which nobody waits for.
        deadline = time.monotonic() + 10
        while MEMORY in points("tmpfs") and time.monotonic() < deadline:
            time.sleep(0.1)
        checks["stopping the unit gives the memory back"] = MEMORY not in points("tmpfs")
        subprocess.run(["systemctl", "start", MEMORY_UNIT], check=False)
        checks["it starts again, empty"] = text("/mnt/memory/g") == "base" and not os.path.exists("/mnt/memory/new")
    else:
        checks["what was in memory is gone"] = not os.path.exists("/mnt/memory/new")
    checks["mount -a changes nothing"] = subprocess.run(["mount", "-a"], check=False).returncode == 0
    checks["and mounts nothing twice"] = len(points("overlay")) == len(WANTED) + 1
    listed = json.loads(output("/opt/ovlctl/bin/ovlctl", "ls", "--json") or "{}")
    names = sorted(str(each["name"]) for each in listed.get("data", []) if each["standing"] == "mounted")
    ours = (source.removeprefix("ovlctl:") for source in WANTED.values() if ":" in source)
    wanted = sorted([*ours, "hidden", "None"])
    checks["ovlctl ls knows them all"] = names == wanted
    checks.update(of_the_user(first=first))
    report = {"kernel": os.uname().release, "overlays": overlays, "checks": checks}
    if not all(checks.values()):
        mine = as_user("systemctl", "--user", "status", "--no-pager", "--full", "ovlctl-mine.service")
        waits = f"{waits}\n{mine}\n{of_dev()}"
        report["log"] = output("journalctl", "-b", "--no-pager", "-p", "info", "-u", "*.mount") + f"\n{names}\n{waits}"
    with open("/dev/ttyS1", "w", encoding="ascii") as line:
        line.write(json.dumps(report) + "\n")


def of_the_user(*, first: bool) -> dict[str, bool]:
    """What has to be true of the stack that an ordinary user's own manager brings up."""
    unit = "ovlctl-mine.service"
    deadline = time.monotonic() + 120
    while as_user("systemctl", "--user", "is-active", unit) != "active" and time.monotonic() < deadline:
        time.sleep(0.5)
    inside = ("ovlctl", "exec", "mine", "--", "sh", "-c")
    checks = {"a user's own manager brings a stack up": as_user(*inside, "cat f") == "one"}
    if first:
        as_user(*inside, "echo first boot >new")
    else:
        checks["what the user wrote at the first boot is there"] = as_user(*inside, "cat new") == "first boot"
    as_user("systemctl", "--user", "stop", unit)
    listed = json.loads(as_user("ovlctl", "ls", "--json") or "{}")
    standing = [each["standing"] for each in listed.get("data", []) if each["name"] == "mine"]
    checks["stopping the service ends it, and keeps its upper"] = standing == ["kept"]
    checks["and leaves no process"] = not [line for line in of_dev() if "ovlctl" in line]
    return checks


def of_dev() -> list[str]:
    """Command lines of the user's processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == 1000:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def as_user(*argv: str) -> str:
    """What a program prints that the user runs."""
    variables = ("HOME=/home/dev", "XDG_RUNTIME_DIR=/run/user/1000", "PATH=/opt/ovlctl/bin:/usr/bin:/bin")
    return output("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", *variables, *argv)


def mounted() -> dict[str, str]:
    """Mount point to source of every overlay."""
    found = json.loads(output("findmnt", "--json", "--list", "-t", "overlay", "-o", "TARGET,SOURCE") or "{}")
    return {each["target"]: each["source"] for each in found.get("filesystems", [])}


def points(kind: str) -> list[str]:
    """Mount points of every file system of *kind*."""
    return output("findmnt", "--raw", "--noheadings", "-o", "TARGET", "-t", kind).splitlines()


def before_local_fs() -> bool:
    """Whether every unit of ours that boots with local-fs.target was up before it."""
    units = output("systemctl", "list-units", "--no-legend", "--plain", "mnt-*.mount").split("\n")
    wanted = [line.split()[0] for line in units if line and "over" not in line.split()[0] and "fstab" not in line]
    reached = since("local-fs.target")
    return bool(wanted) and all(0 < since(unit) <= reached for unit in wanted)


def since(unit: str) -> int:
    """When *unit* became active, in microseconds of the monotonic clock."""
    return int(output("systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit) or 0)


def text(path: str) -> str:
    """What the file *path* holds, or why that is not known."""
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        return str(error)


def output(*argv: str) -> str:
    """What a program prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
