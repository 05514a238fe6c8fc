"""What is live, what may go live, and every change of it: promotion, rollback, repair, deletion.

Import from the module: nothing is exported here. Knows no pytest and no ONNX Runtime.
"""
