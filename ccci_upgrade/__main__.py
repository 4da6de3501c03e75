"""`python -m ccci_upgrade`."""

from ccci_upgrade.cli.app import main

main()
