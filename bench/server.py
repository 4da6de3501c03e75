"""One server of many, as a process of its own: `python -m bench.server FOLDER SERVER APPS`, until its input ends."""

import sys
from pathlib import Path

from tests.cli.fakeengine import FakeEngine

DEPLOYED = "1.0.0+1.0.0"


def app(number: int, server: str) -> str:
    """An app's name; its recipe is the first part."""
    return f"recipe{number}.{server}"


def main(folder: str, server: str, apps: str) -> None:
    """Deploy the apps and answer."""
    engine = FakeEngine(Path(folder))
    for number in range(int(apps)):
        engine.put(app(number, server).replace(".", "_"), f"recipe{number}:1.0.0", DEPLOYED)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
