"""Visionular: judges the pictures of files that are played live to it, for nudity and weapons."""
