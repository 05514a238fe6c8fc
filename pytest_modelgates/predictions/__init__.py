"""The log of predictions: written by serving, read by everybody."""
