"""Files, lines, digests and JSON. Knows nothing of models."""
