"""Privileged tests in a virtual machine, for who is not root: forwarding them, and running them there.

``plugin`` decides which, ``guest`` finds the machine, ``forwarding`` starts a session there and reports what comes
back; there, ``serving`` starts pytest and ``reporter`` writes what happens in it. CONTRIBUTING.md says how to use it.
"""
