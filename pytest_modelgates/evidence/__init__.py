"""What both halves agree on: reports, verdicts, reasons, proofs, seals, and which code is trusted."""
