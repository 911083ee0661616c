"""The ChunkStore in memory, on the embedded engine and on a Qdrant server."""
