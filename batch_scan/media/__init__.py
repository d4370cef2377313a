"""What takes sound and pictures out of files."""
