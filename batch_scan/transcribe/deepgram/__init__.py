"""Deepgram: sound to words by its API for recorded sound."""
