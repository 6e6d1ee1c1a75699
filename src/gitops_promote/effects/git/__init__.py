"""Repositories by the real git command."""
