"""The Layer Stack Explorer in the terminal: the one home of Textual.

A region of the screen is a module: what it says is made of plain values in ``*_lines.py`` or ``*_text.py``, which know
nothing of Textual; the widget beside it only puts that on the screen and turns keys into messages. What is shown is
kept in :mod:`ovlctl.tui.session`.
"""
