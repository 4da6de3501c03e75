"""The use cases: what a command does, top-down."""
