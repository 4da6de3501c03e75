"""The console script: starts the command line, and turns whatever was not expected into an exit code."""

import sys

from ccci_upgrade import __version__
from ccci_upgrade.cli.boundary import finish, hold_standard_streams, report_bug, take_interrupts
from ccci_upgrade.errors import Exit
from ccci_upgrade.ui.streams import OUT


def main() -> None:
    """Run the command that was typed; what was not expected becomes exit 1 and a log file."""
    hold_standard_streams()
    take_interrupts()
    code: object = Exit.BUG
    try:
        code = _command()
    except SystemExit as end:
        code = end.code
    except Exception as error:  # noqa: BLE001 - the last line of defence: a traceback must not reach a terminal
        code = report_bug(error)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    finish(code if isinstance(code, int) else Exit.BUG)


def _command() -> Exit:
    """Answer `--version` at once, and hand everything else to typer, which ends with SystemExit.

    typer alone costs four empty interpreter starts, more than all that `--version` needs.
    """
    if sys.argv[1:] == ["--version"]:
        OUT.write(f"ccci-upgrade {__version__}\n")
        return Exit.OK
    from ccci_upgrade.cli.app import app  # noqa: PLC0415 - start-up time is measured

    app()
    return Exit.OK
