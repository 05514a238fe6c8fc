"""What both halves agree on: reports, verdicts, reasons, proofs, seals, and which code is trusted.

The pytest half writes reports and the registry half reads them. Import from the module: nothing is exported here.
"""
