"""A promotion for review: its branch, what stands there, and its text."""
