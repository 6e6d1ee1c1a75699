"""A stand-in for GitHub, for the tests and the demo."""

from github_double.server import Fault, GitHub, Request
from github_double.state import Comment, PullRequest, Repository

__all__ = ["Comment", "Fault", "GitHub", "PullRequest", "Repository", "Request"]
