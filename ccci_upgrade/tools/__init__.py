"""Everything outside, one thing a module: read it, or ask it to act."""
