"""A server that keeps Visionular's contract: its REST calls, and an RTMP ingest that files are really played to."""
