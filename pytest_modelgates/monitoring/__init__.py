"""Watching what is live: comparison with shadow, drift."""
