"""Deepgram's contract as a server."""
