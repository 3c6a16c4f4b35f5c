"""Command line options derived from a constructor, so that there is one list of arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

__all__ = ["flag_of", "given_options", "options_of", "with_options"]

_FLAGS = {"random_state": "--seed"}


def options_of(constructor: type, *, panel: str, without: Collection[str] = ()) -> list[inspect.Parameter]:
    """Give one keyword parameter with a typer option for each constructor argument.

    Args:
        constructor: a class whose docstring has an `Args:` section; its sentences become the help.
        panel: the heading that the help gives them.
        without: arguments that the command sets itself.
    """
    help_of = _arguments_section(inspect.getdoc(constructor) or "")
    return [
        parameter.replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[
                parameter.annotation,
                typer.Option(
                    _flag(name, parameter.annotation),
                    help=_sentence(help_of[name], parameter.annotation),
                    rich_help_panel=panel,
                ),
            ],
        )
        for name, parameter in inspect.signature(constructor, eval_str=True).parameters.items()
        if name not in without
    ]


def with_options(function: Callable[..., None], options: list[inspect.Parameter]) -> Callable[..., None]:
    """Replace a function's `**arguments` by named options, in its signature only."""
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]

    def run(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)

    run.__signature__ = signature.replace(parameters=own + options)  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run


def flag_of(name: str) -> str:
    """Give the option that a constructor argument is set by."""
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def given_options(context: Any, arguments: dict[str, Any], *, without: Collection[str] = ()) -> dict[str, Any]:
    """Give those of the arguments that were written on the command line.

    Args:
        context: typer's.
        arguments: name -> value.
        without: names that do not count.
    """
    said = {name for name in arguments if context.get_parameter_source(name).name == "COMMANDLINE"}
    return {name: value for name, value in arguments.items() if name in said and name not in without}


def _flag(name: str, kind: Any) -> str:
    flag = flag_of(name)
    return f"{flag}/--no-{flag[2:]}" if kind is bool else flag


def _sentence(description: str, kind: Any) -> str:
    """Begin a description with a capital, but not one of a word: it begins with a name, such as "rnn"."""
    return description if kind is str else description[:1].upper() + description[1:]


def _arguments_section(doc: str) -> dict[str, str]:
    """Read the `Args:` section of a Google-style docstring: name -> description in one line."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", section[1] if section else "", re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in entries}
