"""Blocks of picture networks, what stands for their convolutions, gates on their channels, and recurrent cells."""
