"""GitHub by its API, on github.com, GitHub Enterprise Cloud and GitHub Enterprise Server."""
