"""Neural architecture search beyond proposing: what is known of a network that nobody trained."""
