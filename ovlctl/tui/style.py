"""Where things are on the screen, in the language of Textual; their colours are in :mod:`ovlctl.tui.palette`."""

from __future__ import annotations

from typing import Final

CSS: Final = """
Screen { layout: vertical; overflow: hidden; }
.pane { width: 1fr; height: 1fr; }
#body { height: 1fr; layout: vertical; }
MainScreen.wide #body { layout: horizontal; }
LinesView { height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-gutter: stable;
    scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; background: $background; color: $foreground; }
Bar { height: 1; width: 100%; }
MainScreen.wide .details { border-left: solid $panel; }
.plain-letters MainScreen.wide .details { border-left: ascii $panel; }
Input { width: 100%; height: 1; border: none; padding: 0 1; background: $panel; color: $foreground; }
Input:focus { border: none; background: $panel; }
MainScreen.zoomed .pane { display: none; }
MainScreen.zoomed #body { display: none; }
MainScreen.zoomed .pane.here { display: block; width: 100%; height: 1fr; border: none; }
MainScreen.zoomed #body.here { display: block; }
Window { align: center middle; background: $background 50%; }
.window { width: 92%; height: 86%; max-width: 132; background: $background; border: round $primary; }
.plain-letters .window { border: ascii $primary; }
.no-colour Window, .sixteen Window { background: transparent; }
#choices { scrollbar-gutter: auto; }
.window.low { height: 16; }
.window.full { width: 100%; }
.window.small { height: 7; width: 76; }
.no-bars LinesView { scrollbar-size-vertical: 0; }
"""
