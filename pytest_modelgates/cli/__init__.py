"""The command line: one module for each group of verbs, where a verb's options stand beside its code."""

from .main import main

__all__ = ["main"]
