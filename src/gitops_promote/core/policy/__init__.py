"""The policy file: what runs where, in which order, and who may skip."""
