"""The places of a file that hold an image, and the work that all target kinds share on them."""
