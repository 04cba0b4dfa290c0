"""The scratch mount: what deeds say is what the directories have, and nothing is left of it."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.kernel import fiemap
from ovlctl.ops import reading
from ovlctl.ops.state import locate
from ovlctl.ops.trying.example import CONFIG, LIBRARY, example
from ovlctl.ops.trying.live import Live
from ovlctl.ops.trying.recording import record
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, StepKind, Wish
from ovlctl.ops.workspace import remove_tree
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_fs, needs_overlay, needs_root, root
from tests.oci.images import Layout, Made, archive, entry

if TYPE_CHECKING:
    from ovlctl.ops.trying.values import LayerSight, Sight
    from tests.conftest import MakeFs

pytestmark = needs_overlay

MINE = Options() if root() else Options(userxattr=Flag.YES)


def _subject(base: str, tree: dict[str, str | bytes | None], options: Options = MINE) -> reading.Subject:
    return reading.of_directories(Stack([trees.make(f"{base}/lower", tree)], options=options))


def _is(sight: Sight | None, path: str) -> None:
    """Law 5: a sight is what lstat(2) says."""
    status = os.lstat(path)
    assert sight is not None
    assert (sight.ino, sight.dev, sight.size, sight.nlink) == (
        status.st_ino,
        status.st_dev,
        status.st_size,
        status.st_nlink,
    )
    assert (sight.mode, sight.uid, sight.gid) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)


def _layer(seen: tuple[LayerSight, ...], number: int) -> LayerSight:
    return next(each for each in seen if each.layer == number)


def test_the_example_of_the_article(scratch: str) -> None:
    """Read, modify, delete and create on app.conf and lib.so: each as the directories have it afterwards."""
    with example(directory=scratch) as subject, stage(subject, directory=scratch) as ground:
        upper, lower = (layer.directory for layer in ground.ground)
        assert sorted(os.listdir(lower))[:2] == [CONFIG, LIBRARY]
        assert os.listdir(upper) == []

        read = ground.do(Wish(action=Action.READ, path=CONFIG))
        assert [(step.kind, step.layer) for step in read.steps] == [
            (StepKind.LOOKED, 0),
            (StepKind.FOUND, 1),
            (StepKind.READ, 1),
        ]
        assert read.steps[-1].bytes == os.path.getsize(f"{lower}/{CONFIG}")
        assert os.listdir(upper) == []

        modified = ground.do(Wish(action=Action.MODIFY, path=CONFIG))
        assert [step.kind for step in modified.steps] == [StepKind.COPIED, StepKind.WRITTEN]
        _is(_layer(modified.after[0].layers, 0).sight, f"{upper}/{CONFIG}")
        _is(_layer(modified.after[0].layers, 1).sight, f"{lower}/{CONFIG}")
        assert modified.before[0].merged is not None
        assert modified.after[0].merged is not None
        assert modified.before[0].merged.ino == modified.after[0].merged.ino == os.lstat(f"{lower}/{CONFIG}").st_ino
        with open(f"{upper}/{CONFIG}", "rb") as new, open(f"{lower}/{CONFIG}", "rb") as old:
            assert new.read() == old.read()
        assert modified.calls[0].text == f'open("{CONFIG}", O_WRONLY)'
        assert all(call.ns > 0 for call in modified.calls)

        deleted = ground.do(Wish(action=Action.DELETE, path=LIBRARY))
        assert [step.kind for step in deleted.steps] == [StepKind.WHITEOUT]
        assert deleted.after[0].merged is None
        assert _layer(deleted.after[0].layers, 0).marks == (Mark.WHITEOUT,)
        assert os.lstat(f"{upper}/{LIBRARY}").st_rdev == 0
        assert os.path.exists(f"{lower}/{LIBRARY}")

        created = ground.do(Wish(action=Action.CREATE, path="new"))
        assert [step.kind for step in created.steps] == [StepKind.CREATED]
        _is(_layer(created.after[0].layers, 0).sight, f"{upper}/new")
        # As strace(1) writes it.
        assert created.calls[0].text == 'open("new", O_WRONLY|O_CREAT|O_EXCL, 0644)'
    assert os.listdir(scratch) == []


def test_reset_is_a_fresh_upper(scratch: str) -> None:
    """The old one is gone; the subject is another."""
    with example(directory=scratch) as subject, stage(subject, directory=scratch) as ground:
        ground.do(Wish(action=Action.MODIFY, path=CONFIG))
        old = ground.ground[0].directory
        ground.reset()
        assert not os.path.exists(old)
        assert os.listdir(ground.ground[0].directory) == []
        assert ground.subject.stack.upper == ground.ground[0].directory
        with reading.opened(ground.subject) as view:
            assert view.resolver.resolve(CONFIG).exists


@needs_root
@needs_fs("xfs")
@needs_fs("ext4")
def test_clones_are_told_from_copies(make_fs: MakeFs) -> None:
    """On a file system that shares blocks a copy-up shares them, and the deed says so."""
    for kind, shares in (("xfs", True), ("ext4", False)):
        base = make_fs(kind, 400 << 20)
        with stage(_subject(base, {"large": os.urandom(3 << 20)}), directory=base) as ground:
            deed = ground.do(Wish(action=Action.MODIFY, path="large"))
            (copied, _) = deed.steps
            assert (copied.kind, copied.bytes, copied.cloned) == (StepKind.COPIED, 3 << 20, shares)
            with open(f"{ground.ground[0].directory}/large", "rb") as file:
                assert bool(fiemap.shared_bytes(file.fileno())) is shares


@needs_root
def test_metadata_only_then_data(scratch: str) -> None:
    """With metacopy a chmod brings metadata, and the first write after it the data."""
    subject = _subject(scratch, {"f": "x" * 10000}, Options(metacopy=Switch.ON))
    with stage(subject, directory=scratch) as ground:
        first = ground.do(Wish(action=Action.CHMOD, path="f", mode=0o600))
        assert [step.kind for step in first.steps] == [StepKind.METADATA, StepKind.WRITTEN]
        assert Mark.METACOPY in first.steps[0].marks
        second = ground.do(Wish(action=Action.MODIFY, path="f"))
        assert [(step.kind, step.source, step.bytes) for step in second.steps] == [
            (StepKind.COPIED, 1, 10000),
            (StepKind.WRITTEN, None, 4096),
        ]


@needs_root
def test_the_index_keeps_hard_links(scratch: str) -> None:
    """With index=on another name of a copied-up file is linked; removing one copies the file for the index."""
    trees.make(f"{scratch}/lower", {"a": "x" * 5000})
    os.link(f"{scratch}/lower/a", f"{scratch}/lower/b")
    subject = reading.of_directories(Stack([f"{scratch}/lower"], options=Options(index=Switch.ON)))
    with stage(subject, directory=scratch) as ground:
        assert [step.kind for step in ground.do(Wish(action=Action.MODIFY, path="a")).steps] == [
            StepKind.COPIED,
            StepKind.WRITTEN,
        ]
        foretold = ground.preview(Wish(action=Action.MODIFY, path="b"))
        deed = ground.do(Wish(action=Action.MODIFY, path="b"))
        expected = [StepKind.LINKED, StepKind.WRITTEN]
        assert [step.kind for step in deed.steps] == [step.kind for step in foretold.steps] == expected
        ground.reset()
        removed = ground.do(Wish(action=Action.DELETE, path="a"))
        assert [step.kind for step in removed.steps] == [StepKind.COPIED, StepKind.WHITEOUT]


def test_what_is_written_was_not_copied(scratch: str) -> None:
    """A copy-up brings what the lower has: nothing of an empty file, and no holes, whatever is written then."""
    subject = _subject(scratch, {"empty": ""})
    with open(f"{subject.stack.lowers[0]}/sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"x" * 4096)
    with stage(subject, directory=scratch) as ground:
        for path, copied, written in (("empty", 0, 1), ("sparse", 4096, 4096)):
            wish = Wish(action=Action.MODIFY, path=path)
            for told in (ground.preview(wish), ground.do(wish)):
                assert [(step.kind, step.bytes) for step in told.steps] == [
                    (StepKind.COPIED, copied),
                    (StepKind.WRITTEN, written),
                ]


def test_what_fails_on_the_way_was_timed(scratch: str) -> None:
    """No time is told that was not measured, such as that of the directory around that is not there."""
    with example(directory=scratch) as subject, stage(subject, directory=scratch) as ground:
        (call,) = ground.do(Wish(action=Action.CREATE, path="nowhere/new")).calls
        assert (call.errno, call.ns > 0) == (errno.ENOENT, True)


@needs_root
def test_a_redirect_shows_where_the_lower_has_it(scratch: str) -> None:
    """What a renamed directory holds is in the lower under its old name."""
    subject = _subject(scratch, {"d/f": "x"}, Options(redirect_dir=RedirectDir.ON))
    with stage(subject, directory=scratch) as ground:
        moved = ground.do(Wish(action=Action.RENAME, path="d", to="e"))
        assert [step.kind for step in moved.steps] == [StepKind.COPIED, StepKind.MOVED, StepKind.WHITEOUT]
        assert Mark.REDIRECT in moved.steps[1].marks
        read = ground.do(Wish(action=Action.READ, path="e/f"))
        assert _layer(read.after[0].layers, 1).path == "d/f"
        assert read.errno == 0


def test_links_lead_nowhere(scratch: str) -> None:
    """A symbolic link is neither followed on the way nor at the end, in the view or out of it."""
    outside = trees.make(f"{scratch}/outside", {"victim": "untouched"})
    subject = _subject(scratch, {"d/f": "x"})
    lower = subject.stack.lowers[0]
    os.symlink(outside, f"{lower}/out")
    os.symlink(f"{outside}/victim", f"{lower}/leaf")
    os.symlink("d", f"{lower}/in")
    with stage(subject, directory=scratch) as ground:
        for path in ("out/victim", "in/f"):
            for wish in (
                Wish(action=Action.READ, path=path),
                Wish(action=Action.MODIFY, path=path),
                Wish(action=Action.DELETE, path=path),
                Wish(action=Action.CREATE, path=f"{path}-new"),
                Wish(action=Action.RENAME, path="d/f", to=f"{path}-new"),
            ):
                assert ground.do(wish).errno in {errno.ELOOP, errno.ENOTDIR}
        assert ground.do(Wish(action=Action.MODIFY, path="leaf")).errno == errno.ELOOP
        assert ground.do(Wish(action=Action.CHMOD, path="leaf", mode=0o777)).errno == errno.EOPNOTSUPP
        assert ground.do(Wish(action=Action.READ, path="leaf")).errno == 0
        with pytest.raises(errors.BadUsage):
            ground.do(Wish(action=Action.DELETE, path="../victim"))
    with open(f"{outside}/victim", encoding="ascii") as file:
        assert file.read() == "untouched"
    assert os.listdir(outside) == ["victim"]


@pytest.mark.parametrize("action", [Action.READ, Action.MODIFY])
def test_fifos_and_devices_are_not_opened(scratch: str, action: Action) -> None:
    """Nothing waits for the other end, nothing reaches a driver; the preview promises nothing either."""
    subject = _subject(scratch, {})
    os.mkfifo(f"{subject.stack.lowers[0]}/fifo")
    names = ["fifo"]
    if root():
        os.mknod(f"{subject.stack.lowers[0]}/null", 0o020666, os.makedev(1, 3))
        names.append("null")
    with stage(subject, directory=scratch) as ground:
        for name in names:
            with pytest.raises(errors.NotAFile):
                ground.do(Wish(action=action, path=name))
            foretold = ground.preview(Wish(action=action, path=name))
            assert {step.kind for step in foretold.steps} <= {StepKind.LOOKED, StepKind.FOUND}
            assert not ground.do(Wish(action=Action.RENAME, path=name, to=f"{name}2")).errno


HOSTILE = ("\x1b[31mred", "new\nline", "[bold]", "<script>", "\u202egnp", os.fsdecode(b"\xff\xfe"), "n" * 255, 'a"b\\c')


def test_hostile_names(scratch: str) -> None:
    """Any name that a file can have is just a name."""
    subject = _subject(scratch, {f"{name}/{name}": "x" for name in HOSTILE})
    with stage(subject, directory=scratch) as ground:
        for name in HOSTILE:
            deed = ground.do(Wish(action=Action.MODIFY, path=f"{name}/{name}"))
            assert [(step.kind, step.path) for step in deed.steps] == [
                (StepKind.PARENT, name),
                (StepKind.COPIED, f"{name}/{name}"),
                (StepKind.WRITTEN, f"{name}/{name}"),
            ]
            _is(_layer(deed.after[0].layers, 0).sight, f"{ground.ground[0].directory}/{name}/{name}")
            assert not ground.do(Wish(action=Action.DELETE, path=f"{name}/{name}")).errno
        assert ground.do(Wish(action=Action.CREATE, path="n" * 256)).errno == errno.ENAMETOOLONG


def test_paths_longer_than_a_system_call_takes(scratch: str) -> None:
    """4,300 bytes of directories."""
    subject = _subject(scratch, {})
    here = os.open(subject.stack.lowers[0], os.O_PATH)
    name = "d" * 200
    for _ in range(22):
        os.mkdir(name, dir_fd=here)
        here, old = os.open(name, os.O_PATH, dir_fd=here), here
        os.close(old)
    os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    path = "/".join([name] * 22 + ["f"])
    with stage(subject, directory=scratch) as ground:
        deed = ground.do(Wish(action=Action.MODIFY, path=path))
        assert [step.kind for step in deed.steps] == [*[StepKind.PARENT] * 22, StepKind.COPIED, StepKind.WRITTEN]
    remove_tree(subject.stack.lowers[0])


@needs_root
def test_a_very_deep_path(scratch: str) -> None:
    """Hundreds of directories on the way are looked up once each, not once for each that is below; and all are made."""
    depth = 300
    subject = _subject(scratch, {})
    _deep(subject.stack.lowers[0], depth)
    with stage(subject, directory=scratch) as ground:
        path = "d/" * depth + "f"
        foretold = ground.preview(Wish(action=Action.CREATE, path=path))
        deed = ground.do(Wish(action=Action.CREATE, path=path))
        assert [step.kind for step in deed.steps] == [step.kind for step in foretold.steps]
        assert [step.kind for step in deed.steps] == [StepKind.PARENT] * depth + [StepKind.CREATED]


def test_what_is_too_deep_is_not_put_there(scratch: str) -> None:
    """A directory of the own upper that is deeper than anything sensible ends nothing but the copy."""
    trees.make(scratch, {"lower/": None, "upper/deep/": None, "work/": None})
    _deep(f"{scratch}/upper/deep", 300)
    stack = Stack([f"{scratch}/lower"], upper=f"{scratch}/upper", work=f"{scratch}/work", options=MINE)
    with stage(reading.of_directories(stack), directory=scratch) as ground:
        deed = ground.do(Wish(action=Action.RENAME, path="deep", to="other"))
        assert (deed.mixed, deed.in_own_upper) == (False, True)
        assert not ground.do(Wish(action=Action.CREATE, path="new")).errno


def _deep(top: str, depth: int) -> None:
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_a_full_disk_is_told(make_fs: MakeFs, scratch: str) -> None:
    """ENOSPC: the deed has the error, the lower is what is read, and the stage goes on."""
    small = make_fs("tmpfs", 4 << 20)
    subject = _subject(scratch, {"large": os.urandom(8 << 20), "small": "x"})
    with stage(subject, directory=small) as ground:
        deed = ground.do(Wish(action=Action.MODIFY, path="large"))
        assert deed.errno == errno.ENOSPC
        assert [step.kind for step in deed.steps] == [StepKind.REFUSED]
        assert _layer(deed.after[0].layers, 0).sight is None
        assert deed.before[0].merged == deed.after[0].merged
        assert not ground.do(Wish(action=Action.MODIFY, path="small")).errno


@needs_root
def test_what_is_too_large_is_not_put_there(scratch: str, make_fs: MakeFs) -> None:
    """More than 64 MiB in the own upper: preview and deed say that the stack itself is changed in place."""
    trees.make(scratch, {"lower/x": "x", "u/": None, "w/": None})
    with open(f"{scratch}/u/large", "wb") as file:
        file.writelines(os.urandom(1 << 20) for _ in range(65))
    elsewhere = make_fs("tmpfs", 200 << 20)  # where nothing can be cloned to
    subject = reading.of_directories(Stack([f"{scratch}/lower"], upper=f"{scratch}/u", work=f"{scratch}/w"))
    with stage(subject, directory=elsewhere) as ground:
        wish = Wish(action=Action.MODIFY, path="large")
        assert ground.preview(wish).in_own_upper
        deed = ground.do(wish)
        assert (deed.in_own_upper, deed.mixed) == (True, False)
        assert deed.steps[0].kind is StepKind.COPIED


def test_an_image_is_no_directory(scratch: str) -> None:
    """Its layers are archives."""
    here = Layout(f"{scratch}/l")
    here.image("one", Made(archive(entry("f", b"x")), "gzip"))
    subject = reading.subject(locate(f"{scratch}/state"), f"oci:{scratch}/l:one")
    with pytest.raises(errors.LayersAreArchives) as caught, stage(subject, directory=scratch):
        pass
    assert "unpack" in (caught.value.hint() or "")


@pytest.mark.parametrize("where", ["lower", "lower/d", "link"])
def test_no_scratch_directory_in_a_layer(scratch: str, where: str) -> None:
    """Layers are only read: not even a directory that goes again is made in one, under whichever name."""
    subject = _subject(scratch, {"d/f": "x"})
    os.symlink("lower/d", f"{scratch}/link")
    before = trees.everything(scratch)
    with pytest.raises(errors.DestinationInLayer), stage(subject, directory=f"{scratch}/{where}"):
        pass
    with pytest.raises(errors.DestinationInLayer):
        record(subject, directory=f"{scratch}/{where}")
    assert trees.everything(scratch) == before


def test_what_is_not_mounted_has_no_real_mount(scratch: str) -> None:
    """`Live` wants a mount."""
    with pytest.raises(errors.NotMountedHere):
        Live(_subject(scratch, {}))


def test_a_layer_that_is_gone(scratch: str) -> None:
    """Its own error, and nothing is left."""
    with pytest.raises(errors.PathMissing), stage(reading.of_directories(Stack([f"{scratch}/no"])), directory=scratch):
        pass
    assert os.listdir(scratch) == []


def test_threads_wait_for_each_other(scratch: str) -> None:
    """One order at a time."""
    with example(directory=scratch) as subject, stage(subject, directory=scratch) as ground:
        told: list[int] = []

        def work(number: int) -> None:
            told.append(ground.do(Wish(action=Action.CREATE, path=f"new-{number}")).errno)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == [0] * 8


def test_a_recording_is_four_deeds(scratch: str) -> None:
    """Of a file of a lower, each on a fresh upper; of what cannot be mounted the example, with the reason."""
    subject = _subject(scratch, {"small": "x", "d/fits": "y" * 2000})
    recording = record(subject, directory=scratch)
    assert [deed.wish.action for deed in recording.deeds] == [
        Action.READ,
        Action.MODIFY,
        Action.DELETE,
        Action.CREATE,
    ]
    assert [deed.wish.path for deed in recording.deeds] == ["d/fits", "d/fits", "d/fits", "d/new.txt"]
    assert [deed.errno for deed in recording.deeds] == [0] * 4
    assert not recording.example
    instead = record(reading.of_directories(Stack([trees.make(f"{scratch}/bare", {"d/": None})])), directory=scratch)
    assert instead.example
    assert instead.because is not None
    assert instead.deeds[0].wish.path == CONFIG
