"""From a fitted model to a model directory: convert, describe, check, measure, publish. `pack` does it all."""
