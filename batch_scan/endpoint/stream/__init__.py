"""Stream (GetStream) Moderation."""
