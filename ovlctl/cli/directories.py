"""Options that name the directories of a stack one by one, where a verb takes a STACK: written once for all verbs."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ovlctl.cli.overlay_options import flag
from ovlctl.cli.reading import Given
from ovlctl.overlay.options import RedirectDir, Switch

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS: dict[str, Any] = {
    "lower": Annotated[
        list[str] | None,
        typer.Option("--lower", "-l", metavar="DIR", help="Read this layer instead of a STACK; repeat, topmost first."),
    ],
    "data_only": Annotated[
        list[str] | None, typer.Option(metavar="DIR", help="With --lower: a data-only lower; repeat.")
    ],
    "upper": Annotated[str | None, typer.Option(metavar="DIR", help="With --lower: the upper.")],
    "work": Annotated[str | None, typer.Option(metavar="DIR", help="With --lower and --index on: the work directory.")],
    "userxattr": Annotated[
        bool | None,
        typer.Option(
            "--userxattr/--no-userxattr", help="With --lower: where marks are kept; as you would mount it by default."
        ),
    ],
    "metacopy": Annotated[
        Switch | None, typer.Option(help="With --lower: whether files with metadata only are followed.")
    ],
    "redirect_dir": Annotated[
        RedirectDir | None, typer.Option(help="With --lower: whether renamed directories are followed.")
    ],
    "index": Annotated[
        Switch | None, typer.Option(help="With --lower and --work: whether the index of hard links counts.")
    ],
}


def takes_directories(command: Callable[..., int]) -> Callable[..., int]:
    """Give *command* these options in place of its parameter ``given``, which gets what they say.

    Typer reads the signature of the result; the options stand where ``given`` stands.
    """
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters

    @functools.wraps(command)
    def run(**arguments: Any) -> int:
        words = {name: arguments.pop(name) for name in _OPTIONS}
        userxattr = flag(words.pop("userxattr"))
        return command(given=Given(**words, userxattr=userxattr), **arguments)

    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        if name == "given":
            parameters += (
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
                for option, annotation in _OPTIONS.items()
            )
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    # What inspect.signature() goes by, and no type checker knows of.
    run.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
