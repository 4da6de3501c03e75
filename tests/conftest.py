"""What all tests share: Hypothesis' settings, one Engine, and figures that a run must print in any case."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.swarm.harness import Engine, missing, running_engine

# A busy machine makes one example slow and proves nothing; each test's own timeout still holds.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# Who is started in the background, or with nohup, ignores these; so would every child, and no shell could trap them.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


# Where tests start engines, servers and processes of their own; everywhere else one failure is a failure.
_BUSY = tuple(
    Path(__file__).parent / name for name in ("cli", "contract", "killing", "practice", "ssh", "swarm")
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `real` unless a marker expression names it: it has a `make` target of its own."""
    for item in items:
        if any(item.path.is_relative_to(one) for one in _BUSY):
            item.add_marker(pytest.mark.flaky(reruns=1))
    if "real" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("real")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Give a private Engine, one per worker; where CI is set and the machine cannot have one, the tests fail."""
    if lacks := missing():
        pytest.fail(f"Swarm tests need {', '.join(lacks)}", pytrace=False)
    with running_engine() as started:
        yield started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as `figure` (workers' own output would be lost), and what needed a second go."""
    failed = {report.nodeid for report in terminalreporter.getreports("failed")}
    for report in (first for first in terminalreporter.stats.get("rerun", ()) if first.nodeid not in failed):
        terminalreporter.section(f"failed at first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    figures = [str(value) for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for figure in dict.fromkeys(figures):
            terminalreporter.write_line(figure)
