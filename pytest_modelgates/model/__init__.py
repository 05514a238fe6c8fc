"""A model directory: its files, sidecar and panel, and how they are read, checked and scored."""
