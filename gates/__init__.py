"""The shipped gates: every SLO of a model directory as one test. Test files that run from any folder."""
