"""How the elements of a sequence look at each other, and how they know their place."""
