"""How the weights of a network begin before its training proper."""
