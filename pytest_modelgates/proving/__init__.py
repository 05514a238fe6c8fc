"""Runs that nothing outside can reach, and negative controls: proof that each gate can fail."""
