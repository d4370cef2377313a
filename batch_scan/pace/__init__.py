"""How fast services are asked, how often again, and for how much."""
