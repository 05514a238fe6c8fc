"""The policy: every SLO, what promotion asks for, and how gates measure; and, beside it, what operates."""
