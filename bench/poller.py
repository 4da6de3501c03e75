"""Watches pages from outside, as fast as they bear it: `python bench/poller.py PORT/PATH…` until its input ends.

Prints one line for each change: seconds since the epoch, which page, whether it answers 200. Knows nothing of
the tool, and shares no code with it.
"""

import http.client
import select
import sys
import time

PAUSE = 0.05
"""Seconds between two rounds: each request costs the apps a process."""


def up(port: int, path: str) -> bool:
    """Whether a page answers 200 now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(pages: list[str]) -> None:
    """Poll until standard input ends."""
    known: dict[str, bool] = {}
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        for page in pages:
            port, _, path = page.partition("/")
            now = up(int(port), f"/{path}")
            if known.get(page) is not now:
                known[page] = now
                sys.stdout.write(f"{time.time():.3f} {page} {int(now)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
