"""One suite for two Engines: what a scenario expects of dockerd, the practice engine must show too."""
