"""What may go live and what is: policy, reports, decision, store, audit log. Knows no pytest and no ONNX Runtime."""
