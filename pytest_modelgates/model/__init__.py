"""What a model directory holds, and how it is written, read and run."""
