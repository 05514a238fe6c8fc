"""Text that is safe to print: on one line, without control characters."""


def printable(text: str) -> str:
    """Escape what would break a line or a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def first_line(error: Exception) -> str:
    """Take the first line of another library's error; its class if it has no text."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])
