"""Files written whole or not at all, logs of lines, digests, strict JSON, printable text. Knows nothing of models."""
