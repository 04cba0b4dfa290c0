"""Stack files and sets of stacks: OVL-E100 to E109."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, UnsupportedError, UsageError


class StackFileSyntax(UsageError):
    """A stack file is not TOML.

    A stack file is written in TOML 1.0 and encoded in UTF-8. The message gives the line and the column where
    reading stopped; the mistake is there or just before.

    Common causes: a string without quotes, a table header written twice, a Windows path in double quotes, where a
    backslash starts an escape (single quotes take it as it is). Editors that know TOML show the place; with
    ``#:schema`` and the path of ``stack-file.schema.json`` in the first line they also check the keys.
    """

    code = "OVL-E100"


class StackFileWrong(UsageError):
    """A stack file is TOML but does not say what a stack file can say.

    An unknown key, a value of the wrong type, a stack without lowers, two stacks with one target or one upper. The
    message names the place as TOML does (``stack.NAME.KEY``) and what is expected there; for an unknown key the
    hint has the nearest known one. Nothing is ignored: a misspelt ``uper`` would otherwise make a stack writable.

    ``docs/stack-file.schema.json`` describes the same rules to editors.
    """

    code = "OVL-E101"


class VariableUnset(UsageError):
    """A path in a stack file names an environment variable that is not set.

    ``${NAME}`` stands for the value of the variable NAME. One that is not set is an error and never the empty
    string, because ``${ROOT}/etc`` would then be ``/etc``. A dollar that is meant as such is written ``$$``.

    sudo and systemd pass few variables on: ``sudo --preserve-env=NAME ovlctl up FILE``, ``Environment=`` in a unit.
    """

    code = "OVL-E102"


class StackUndeclared(NotFoundError):
    """A stack file declares no stack of this name.

    It was named on the command line, as ``FILE#NAME``, or as the lower of another stack of the file. The hint has the
    nearest name that is declared; ``ovlctl plan FILE`` lists all.
    """

    code = "OVL-E103"


class StacksInCircle(UsageError):
    """Stacks of a file stand on each other in a circle, so that none can be mounted first.

    A stack stands on another one when a lower is that stack's merged view or its layers, or when a directory of it
    lies below that stack's target. The message follows the circle once round. One of these lowers has to be another:
    ``{layers = "NAME"}`` takes the directories of a stack without its mount.
    """

    code = "OVL-E104"


class StackStoodUpon(UnsupportedError):
    """A stack that is to be ended has another mounted stack standing on it.

    A lower of the other one lies in its merged view, or the other one's mount point does. The kernel would let the
    mount go all the same when only a lower lies there, but the file system behind it would stay alive unseen: its
    upper stays in use, and what is mounted in its place afterwards is not what the other one shows.

    End the other one first, or both with the command in the hint.
    """

    code = "OVL-E105"
