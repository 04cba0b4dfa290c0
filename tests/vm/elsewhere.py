"""For the small test files that tests of forwarding write: a need that only the fake guest meets."""

from __future__ import annotations

import os

from tests.needs import Answer, needs
from tests.vm.serving import GUEST

IN_GUEST = GUEST in os.environ
#: What needs the guest.
elsewhere = needs(Answer(IN_GUEST, "this is here"), "another place")
#: What any machine can run, and is privileged all the same.
anywhere = needs(Answer(able=True), "nothing special")
