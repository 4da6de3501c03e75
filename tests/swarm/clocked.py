"""The tool with a wall clock that can be set: wrong by the seconds in the file that `CLOCK_OFFSET` names.

`ccci_upgrade.clock` is the only place that asks what time it is; what only counts is left alone. Not libfaketime:
with Debian's 0.9.10 each `time.sleep` of Python 3.11 fails, for it moves the deadline of a clock that it does not fake.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.cli.start import main

_OFFSET = Path(os.environ["CLOCK_OFFSET"])
_now = clock.now


def _wrong() -> datetime:
    return _now() + timedelta(seconds=int(_OFFSET.read_text()))


clock.now = _wrong

if __name__ == "__main__":
    main()
