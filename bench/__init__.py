"""How fast it is, against what one would use instead: `python -m bench` prints one table."""
