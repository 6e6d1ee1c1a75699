"""YAML as text with a tree over it: find a place, and change its bytes and no others."""
