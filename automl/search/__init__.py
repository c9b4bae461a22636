"""Search: samplers that propose recipes, the portfolio, the clock, pruning, and the loop that runs trials."""
