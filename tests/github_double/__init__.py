"""A stand-in for GitHub, for the tests and the demo.

It looks like a GitHub Enterprise Server: REST below /api/v3, GraphQL at /api/graphql, git beside
them. What is asked and answered is checked against the descriptions that GitHub publishes, by
`checks`. Its rules are those of GitHub's documentation: "REST API endpoints for pull requests",
"Mutations" of GraphQL, "Rate limits for the REST API", "Rate limits and query limits for the
GraphQL API", "About protected branches", "Automatically merging a pull request". The words of its
refusals are those that GitHub's users report.
"""

from github_double.server import Fault, GitHub, Request
from github_double.state import Comment, PullRequest, Repository

__all__ = ["Comment", "Fault", "GitHub", "PullRequest", "Repository", "Request"]
