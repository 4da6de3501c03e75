"""Twelve slow probes at once, against the slowest of them alone."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.measure import Effort, Row, seconds
from ccci_upgrade.model.probe import Probe
from ccci_upgrade.tools.web import run_probes

PROBES = 12
DELAY = 0.2
BAR = 1.2
_RUNS = 11


def measure(effort: Effort) -> list[Row]:
    """Whole rounds, each followed by its probes one by one."""
    ratios, rounds, slowest = [], [], []
    with _slow_server() as port:
        probes = [Probe(name=str(n), url=f"http://127.0.0.1:{port}/{n}") for n in range(PROBES)]
        _ask(probes)  # the client is loaded once for a whole run, not for each round
        for _ in range(effort.runs(_RUNS)):
            together = seconds(lambda: _ask(probes))
            alone = max(seconds(lambda probe=probe: _ask([probe])) for probe in probes)  # type: ignore[misc]
            ratios.append(together / alone)
            rounds.append(together)
            slowest.append(alone)
    method = (
        f"{PROBES} HTTP probes of {DELAY * 1000:.0f} ms at once; the peer is the slowest of the same probes asked "
        f"one by one; median ratio of {len(ratios)} rounds"
    )
    row = Row(
        measure=f"{PROBES} probes of {DELAY * 1000:.0f} ms",
        ours=statistics.median(rounds),
        peer=statistics.median(slowest),
        value=statistics.median(ratios),
        bar=BAR,
        method=method,
    )
    return [row]


def _ask(probes: Sequence[Probe]) -> None:
    results = run_probes(probes, seconds_total=10.0, cancelled=threading.Event())
    if not all(result.ok for result in results):
        raise RuntimeError(f"a probe was not answered: {results}")


@contextmanager
def _slow_server() -> Iterator[int]:
    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(DELAY)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = PROBES * 2

    server = Server(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
