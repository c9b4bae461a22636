"""Blocks of picture networks, what stands for their convolutions, and gates on their channels."""
