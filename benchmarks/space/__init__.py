"""What a search spends before a training begins: the space, a recipe, a compiled model."""
