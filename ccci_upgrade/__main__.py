"""`python -m ccci_upgrade`."""

from ccci_upgrade.cli.start import main

main()
