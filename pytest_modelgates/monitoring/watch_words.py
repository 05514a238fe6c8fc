"""What a look of the watch found, in words."""

from datetime import UTC
from textwrap import wrap
from typing import Any

from .silence import NO_CURE
from .watch import Look

_WIDTH = 80  # columns
_WHOLE: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def in_words(looked: Look) -> str:
    """Say what a look found, in 80 columns as far as numbers let it."""
    shown = {"breach": "BREACH", "unseen": "UNSEEN"}
    lines = [f"{looked.model_id}, watched at {looked.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"]
    for each in looked.findings:
        if each.verdict == "inconclusive" and each.trigger in NO_CURE:
            continue  # what is not asked need not be said each minute
        mode = f" ({each.mode.replace('_', ' ')})" if each.verdict == "breach" and each.mode != "act" else ""
        begin = f"  {each.trigger:8}  {shown.get(each.verdict, each.verdict):12}  "
        lines += wrap(each.text + mode, _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin), **_WHOLE)
    if looked.deed:
        to = f" to {looked.deed.to}" if looked.deed.to else ""
        lines.append(f"  {looked.deed.did}{to}:")
        lines += wrap(looked.deed.text, _WIDTH, initial_indent="    ", subsequent_indent="    ", **_WHOLE)
    for note in looked.notes:
        lines += wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="    ", **_WHOLE)
    days = looked.days_per_false_alarm
    lines.append(f"  at most one false alarm in {days:g} days is promised, of all triggers together")
    return "\n".join(lines)
