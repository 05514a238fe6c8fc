"""What is live, what may go live, and every change of it. Knows no pytest and no ONNX Runtime."""
