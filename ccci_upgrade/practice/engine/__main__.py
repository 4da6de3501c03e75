"""`python -m ccci_upgrade.practice.engine FOLDER`: serve until TERM, INT or `POST /_practice/stop`."""

import argparse
import signal
import sys
from pathlib import Path

from ccci_upgrade.errors import CcciError
from ccci_upgrade.practice.engine.server import TABLE, PracticeEngine


def main(arguments: list[str] | None = None) -> int:
    """Run the program; gives its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ccci_upgrade.practice.engine", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where registry.json and the volumes are")
    parser.add_argument("--socket", type=Path, help="where to listen (default: FOLDER/engine.sock)")
    parser.add_argument("--routes", action="store_true", help="print what is spoken, and end")
    given = parser.parse_args(arguments)
    if given.routes:
        for route in TABLE.routes:
            print(f"{route.method:6} {route.path}")  # noqa: T201 - a program of its own
        return 0
    if given.folder is None:
        parser.error("a folder is needed")
    try:
        return serve(PracticeEngine(given.folder, given.socket))
    except CcciError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)  # noqa: T201 - as above
        return int(error.exit)


def serve(engine: PracticeEngine) -> int:
    """Serve until somebody ends it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: engine.ended.set())
    with engine:
        print(f"ready at {engine.socket}", flush=True)  # noqa: T201 - as above
        engine.ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
