"""Signals during a run: counted and given to whoever acts, never left to end us half-way."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import ClassVar, Self

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """From `with` on, Ctrl-C and SIGTERM are counted and SIGHUP is noted; the old handlers come back after it.

    The main thread must enter it. `on_press` is what a press does now; without one it is only counted.
    """

    began: ClassVar[bool] = False
    """Whether an act may have begun in this process: "nothing was changed" cannot be said any more."""

    def __init__(self) -> None:
        """Begin with nothing pressed."""
        self.pressed = 0
        self.hung_up = False
        self.on_press: Callable[[], None] | None = None
        self._old: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        Interrupts.began = True
        for number in _CAUGHT:
            self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old if callable(old) or isinstance(old, int) else signal.SIG_DFL)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.hung_up = True  # the terminal is gone; the run goes on until its verdict is recorded
            return
        self.pressed += 1
        if self.on_press is not None:
            self.on_press()
