"""The explorer: OVL-E190 and E191."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class NoTerminal(UsageError):
    """The explorer needs a terminal to draw on and to be asked by.

    Standard input, output and error all have to be the terminal, which has to be able to move its cursor; TERM says
    whether it is. In a pipe, a script or with TERM=dumb, plain commands tell the same:

        ovlctl tree STACK --hidden      # the merged view, and what it hides
        ovlctl explain STACK PATH       # the story of one path
        ovlctl du STACK                 # the layers in figures
        ovlctl diff STACK               # what the upper changes

    Over ssh a terminal has to be asked for: `ssh -t HOST ovlctl explore STACK`.
    """

    code = "OVL-E190"


class ExtraMissing(UnsupportedError):
    """A part of ovlctl that is installed on request is not there.

    The explorer draws with Textual and searches with NumPy, which no other command needs. The daemons of Docker and
    Podman are asked through the Docker SDK for Python; their stores are read without it.

        pip install 'ovlctl[tui,engines]'
        uv tool install 'ovlctl[tui,engines]'
        pipx inject ovlctl textual numpy docker
    """

    code = "OVL-E191"
