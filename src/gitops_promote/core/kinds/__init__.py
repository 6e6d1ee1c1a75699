"""The kinds of targets, a module each: where a file keeps an image, and how it is promoted."""
