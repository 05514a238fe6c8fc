"""Statistics of the gates: arrays in, numbers out. Knows nothing of pytest, ONNX Runtime, pandas or files."""
