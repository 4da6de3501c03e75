"""A Docker Engine to practise on: a Swarm of one node in one process, with apps that answer over HTTP.

It speaks the part of the Engine API that upgrades need (`python -m ccci_upgrade.practice.engine --routes`
lists it) and answers 501 to the rest. No Docker, no root; what it keeps is in memory, volumes are real files.
"""

from ccci_upgrade.practice.engine.server import PracticeEngine

__all__ = ["PracticeEngine"]
