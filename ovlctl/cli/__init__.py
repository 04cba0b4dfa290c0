"""The command line: one thin module per verb. The only home of Typer."""
