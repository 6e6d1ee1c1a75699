"""Promote a container image to an environment the GitOps way."""

__version__ = "0.1.0"
