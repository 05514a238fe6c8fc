"""What watches the live model: comparison with shadow, drift."""
