"""The Layer Stack Explorer: Textual only here."""
