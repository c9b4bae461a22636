"""How recipes are proposed and unpromising trials stopped: strategies, and what every strategy has."""
