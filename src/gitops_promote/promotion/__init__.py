"""A promotion, from the inputs to what is delivered: the pure parts and the effects together."""
