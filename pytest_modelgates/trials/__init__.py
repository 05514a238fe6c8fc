"""The trial ledger: every distinct candidate that was judged here, and what its positions earned day by day."""
