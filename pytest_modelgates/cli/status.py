"""The exit status of a command, and what it says on stderr if it did not do what it was asked."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from ..errors import ModelgatesError, UsageError
from ..evidence.reasons import COMMANDS
from ..storage.text import first_line, wrapped

INTERRUPTED = 130


def answered(command: Callable[[], int]) -> tuple[int, ModelgatesError | None]:
    """Run a command, and give its exit status and what it refused; a refusal is an answer, not a traceback."""
    refused, done, failed = None, 0, 0
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show → still shows the rest
        done = command()
        sys.stdout.flush()
    except ModelgatesError as error:
        say("\n".join([str(error), *getattr(error, "__notes__", ())]))
        refused = error
        failed = 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # its reader, such as `head`, has seen enough
            place = error.filename2 or error.filename or ""  # for a rename, filename2 is the file to replace
            say(f"{error.strerror or error}: {place}".rstrip(": "))
        failed = 3
    except (ImportError, MemoryError) as error:
        # A library that finds no memory to be loaded into says only that it cannot be imported.
        say(f"out of memory, or a library cannot be loaded ({first_line(error)}); see: ulimit -v, pip check")
        failed = 3
    except RuntimeError as error:
        if str(error).startswith("can't start new thread"):
            say("no further thread can be started; see: ulimit -u, and the limit of processes of this container")
        elif str(error).startswith("Symlink loop"):
            say(first_line(error))  # Path.resolve of Python before 3.13
        else:
            raise
        failed = 3
    except KeyboardInterrupt:
        say("interrupted")
        failed = INTERRUPTED
    if failed:
        _drop_output()
    return failed or done, refused


def say(why: str) -> None:
    """Say why on stderr. The exit status does not depend on whether that works."""
    said = f"modelgates: {why}"
    with suppress(OSError):
        if sys.stderr.isatty():
            # A command stays on one line, so that it can be copied.
            said = "\n".join(line if line.strip().startswith(COMMANDS) else wrapped(line) for line in said.splitlines())
        print(said, file=sys.stderr)


def _drop_output() -> None:
    """Point what cannot be written at /dev/null, so that the interpreter's final flush cannot fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
