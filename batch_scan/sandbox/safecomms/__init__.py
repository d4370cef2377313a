"""SafeComms' contract as a server."""
