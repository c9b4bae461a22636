"""Non-linearities of hidden layers."""
