"""The decisions: pure functions and values, free of network, clock, environment and file system."""
