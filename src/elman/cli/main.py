"""The command `elman`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from elman.cli import add, common, demo, evaluate, info, inspect, predict, quantize, sample, stream, train, tune

__all__ = ["app", "main"]


class _InOrder(TyperGroup):
    """Lists the commands in the order of their use."""

    order = ("train", "tune", "predict", "evaluate", "sample", "stream", "info", "inspect", "quantize", "add", "demo")

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names that the help shows."""
        return sorted(super().list_commands(ctx), key=self.order.index)


app = typer.Typer(
    name="elman",
    cls=_InOrder,
    help="Recurrent neural networks: train, sample, look inside.",
    epilog="Start with: elman demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from elman import __version__

        print(f"elman {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


app.add_typer(train.app)
app.add_typer(tune.app)
app.command()(common.guarded(predict.predict))
app.command()(common.guarded(sample.sample))
app.command()(common.guarded(stream.stream))
app.command()(common.guarded(evaluate.evaluate))
app.command()(common.guarded(info.info))
app.command()(common.guarded(inspect.inspect))
app.command()(common.guarded(quantize.quantize))
app.command()(common.guarded(add.add))
app.add_typer(demo.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        arguments: what follows the program's name; None takes them from `sys.argv`. None at all shows the help.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    common.prepare_streams()
    return common.finish_streams(_run(words))


def _run(words: list[str]) -> int:
    try:
        code = typer.main.get_command(app).main(words, prog_name="elman", standalone_mode=False)
    except SystemExit as error:
        if common.reader_left(error):
            return common.leave_quietly()
        return error.code if isinstance(error.code, int) else 1
    except OSError as error:
        return common.report(error)
    except Exception as error:
        if not common.is_usage(error):
            raise
        return common.report_usage(error)
    return code if isinstance(code, int) else 0
