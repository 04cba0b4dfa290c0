"""Run the privileged tests and ``ovlctl doctor`` on every kernel of the box.

    make kernels [KERNELS="5.10 7.3"] [ARGS="ARGUMENT OF PYTEST..."]

What came of it is printed, kernel by kernel, and kept in vagrant/.vagrant/kernels/ until that kernel's next turn. When
all tests ran on all kernels, today or before, docs/kernels.md is written anew, with the day and commit of each.
``--again`` tells once more what is kept, and runs nothing.

A kernel that does not boot, or whose tests break off, does not keep the others from their turn. The kernel that runs
comes first, and the last one goes on to run.

Exit status: 0 when all went well, 1 when not, 2 when nothing could be done.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vagrant.kernel_results import Run, read_doctor, read_junit
from vagrant.kernel_tables import markdown, text

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = Path(__file__).resolve().parent
_KEPT: Final = _HERE / ".vagrant" / "kernels"
_PAGE: Final = _HERE.parent / "docs" / "kernels.md"
_BOOT_KERNEL: Final = "sh /opt/ovlctl/source/vagrant/boot-kernel.sh"
#: One for each kind of file system; /dev/shm is a tmpfs.
_DIRECTORIES: Final = ("/data/ext4", "/data/xfs", "/data/btrfs", "/dev/shm")  # noqa: S108 -- in the guest
_LONGEST: Final = 40  # words of somebody else's message
#: Where everything takes ten times as long.
_FEWER_EXAMPLES: Final = {"OVLCTL_RESOLVER_EXAMPLES": "60", "OVLCTL_MACHINE_EXAMPLES": "10"}
_NOTHING_RAN: Final = 5  # pytest.ExitCode.NO_TESTS_COLLECTED


class Trouble(Exception):
    """Something that is to be told in one line."""


def main(arguments: Sequence[str]) -> int:
    """Do it."""
    parser = argparse.ArgumentParser(prog="make kernels", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernels", default="", help="series or releases, with spaces between; otherwise all")
    parser.add_argument("--again", action="store_true", help="tell once more what the last run found")
    given, pytest_arguments = parser.parse_known_args(arguments)
    visited: list[str] = []
    try:
        if not given.again:
            releases, wanted = _wanted(given.kernels.split())
            for release in wanted:
                visited.append(release)
                _visit(release, releases, pytest_arguments)
    except Trouble as trouble:
        _say(str(trouble))
        return 2
    except KeyboardInterrupt:
        _say("interrupted; this is what was found so far")
    found = kept(_KEPT)
    runs = [run for run in found if given.again or run.release in visited]
    if not runs:
        _say("nothing was found")
        return 2
    print(text(runs))
    if page := whole(found):
        _PAGE.write_text(markdown(page), encoding="utf-8")
        _say(f"written: {_PAGE.relative_to(_HERE.parent)}")
    return 0 if all(run.fine for run in runs) else 1


def whole(runs: Sequence[Run]) -> list[Run]:
    """The kernels of the box that the newest of *runs* knows, if each had its turn with all tests; otherwise none.

    What is kept of a kernel that this box has no more does not count.
    """
    newest = max(runs, key=lambda run: run.day)
    there = [run for run in runs if run.release in newest.releases]
    return [] if len(there) < len(newest.releases) or any(run.trouble or run.chosen for run in there) else there


def _wanted(asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """The releases of the box, and those to visit, the one that runs first; the machine is up afterwards.

    Raises:
        Trouble: There is no machine and none could be made, or it has no such kernel.
    """
    if shutil.which("vagrant") is None:
        raise Trouble("vagrant is not installed: vagrant/README.md says what is needed")
    if ",state,running" not in _vagrant("status", "--machine-readable").stdout:
        _say("vagrant up")
        up = _vagrant("up")
        if up.returncode:
            raise Trouble(f"the machine does not come up: {_last_words(up)}")
    releases = _in_guest(_BOOT_KERNEL).split()
    chosen = choose(releases, asked)
    running = _running()
    return releases, sorted(chosen, key=lambda release: release != running)


def choose(releases: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The newest release of each series asked for, or all.

    Raises:
        Trouble: for a series that no release belongs to.
    """
    if not asked:
        return list(releases)
    chosen = {}
    for series in asked:
        # What comes after the series must not go on with its last number.
        found = [release for release in releases if re.match(rf"{re.escape(series)}(?![0-9])", release)]
        if not found:
            raise Trouble(f"no kernel {series} in the box, which has: {' '.join(releases)}")
        chosen[found[-1]] = True
    return list(chosen)


def _visit(release: str, releases: Sequence[str], pytest_arguments: Sequence[str]) -> None:
    directory = _KEPT / release
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        _boot(release)
        made = _made_from()
        made |= {"chosen": shlex.join(pytest_arguments), "releases": releases}
        (directory / "made-from.json").write_text(json.dumps(made), encoding="utf-8")
        _test(release, directory, pytest_arguments, emulated=made["machine"] == "emulated")
        _ask_doctor(directory)
    except Trouble as trouble:
        _say(f"{release}: {trouble}")
        (directory / "trouble").write_text(str(trouble), encoding="utf-8")


def _boot(release: str) -> None:
    began = time.monotonic()
    try:
        running = _running()
    except Trouble:  # left so by the kernel before
        _say("the machine does not answer: vagrant reload")
        _vagrant("reload", "--no-provision")
        running = _running()
    if running != release:
        _say(f"{release}: vagrant reload")
        done = _vagrant("reload", "--no-provision", kernel=release)
        if done.returncode:
            raise Trouble(f"did not boot: {_last_words(done)}")
        _say(f"{release}: booted, {time.monotonic() - began:.0f} s")


def _test(release: str, directory: Path, pytest_arguments: Sequence[str], *, emulated: bool) -> None:
    began = time.monotonic()
    log = directory / "pytest.log"
    _say(f"{release}: testing; {os.path.relpath(log)} grows")
    words = ("--vm", "-m", "needs and not boot", f"--junit-xml={directory / 'tests.xml'}", *pytest_arguments)
    with log.open("wb") as said:
        status = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=_HERE.parent,
            env={**(_FEWER_EXAMPLES if emulated else {}), **os.environ, "OVLCTL_REQUIRE_VM": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    seconds = time.monotonic() - began
    (directory / "seconds").write_text(f"{seconds:.0f}", encoding="utf-8")
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    _say(f"{release}: {lines[-1].strip('= ')}")
    if status == _NOTHING_RAN:
        raise Trouble("no test was chosen")
    if status not in {0, 1}:
        raise Trouble(f"pytest ended with status {status}: {lines[-1].strip('= ')}")


def _ask_doctor(directory: Path) -> None:
    words = shlex.join(word for each in _DIRECTORIES for word in ("--dir", each))
    (directory / "root.json").write_text(_in_guest(f"sudo ovlctl doctor --json {words}"), encoding="utf-8")
    (directory / "user.json").write_text(_in_guest("ovlctl doctor --json"), encoding="utf-8")


def kept(directory: Path) -> list[Run]:
    """What is kept of the last run, the oldest kernel first.

    Args:
        directory: Has one for each kernel, with the files that a visit writes; any of them may be missing.
    """
    names = [each.name for each in directory.iterdir()] if directory.is_dir() else []
    return [_read(directory / name) for name in sorted(names, key=_by_number)]


def _read(directory: Path) -> Run:
    run = Run(release=directory.name)
    files = {each.name: each.read_text(encoding="utf-8") for each in directory.iterdir() if each.name != "pytest.log"}
    trouble = files.get("trouble", "")
    try:
        tests = read_junit(files["tests.xml"])
    except KeyError:
        tests, trouble = (), trouble or "its tests did not end"
    except ValueError as error:
        tests, trouble = (), trouble or str(error)
    abilities = [
        each
        for who in ("root", "user")
        if f"{who}.json" in files
        for each in read_doctor(who, json.loads(files[f"{who}.json"]))
    ]
    made = json.loads(files.get("made-from.json", "{}"))
    return replace(
        run,
        trouble=trouble,
        tests=tests,
        abilities=tuple(abilities),
        seconds=float(files.get("seconds", 0)),
        commit=made.get("commit", ""),
        day=made.get("day", ""),
        machine=made.get("machine", ""),
        chosen=made.get("chosen", ""),
        releases=tuple(made.get("releases", ())),
    )


def _by_number(release: str) -> list[tuple[int, str]]:
    return [(int(number or -1), other) for number, other in re.findall(r"([0-9]+)|([^0-9]+)", release)]


def _made_from() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=_HERE, capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = _in_guest("systemd-detect-virt || true").strip()
    return {
        "commit": commit,
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": "emulated" if machine == "qemu" else machine,
    }


def _running() -> str:
    return _in_guest("uname -r").strip()


def _in_guest(line: str) -> str:
    done = _vagrant("ssh", "-c", line, "--", "-T")
    if done.returncode:
        raise Trouble(f"`{line}` in the guest ended with status {done.returncode}: {_last_words(done)}")
    return done.stdout


def _vagrant(*words: str, kernel: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OVLCTL_KERNEL"}
    return subprocess.run(
        ["vagrant", *words],
        cwd=_HERE,
        env=environment if kernel is None else {**environment, "OVLCTL_KERNEL": kernel},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    # Vagrant breaks lines; what it says last stands after an empty one.
    paragraphs = re.split(r"\n\s*\n", f"{done.stdout}\n\n{done.stderr}".strip())
    return " ".join(paragraphs[-1].split()[-_LONGEST:]) or f"status {done.returncode}, and it said nothing"


def _say(words: str) -> None:
    print(f"kernels: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
