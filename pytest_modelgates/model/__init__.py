"""A model directory: what it holds, and how it is read and run."""
