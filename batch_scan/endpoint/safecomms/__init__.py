"""SafeComms."""
