"""The command line: one module a noun, in which a verb's options and its code stand together."""

from .main import main

__all__ = ["main"]
