"""From a fitted model to a model directory."""
