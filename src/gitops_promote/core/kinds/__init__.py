"""The kinds of targets: each says what its files are and where they hold an image."""
