"""Upgrade the infra apps of a Co-op Cloud CI server by hand, safely."""

__version__ = "0.1.0"
