"""What a look of the watch found, in words."""

from datetime import UTC
from itertools import groupby
from textwrap import wrap
from typing import Any

from .judge import BY_CHANCE
from .silence import NO_CURE
from .watch import Look

_WIDTH, _TEXT = 80, 26  # columns, and the one at which a text begins
_WHOLE: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def in_words(looked: Look) -> str:
    """Say what a look found, in 80 columns as far as numbers let it."""
    shown = {"breach": "BREACH", "unseen": "UNSEEN"}
    lines = [f"{looked.model_id}, watched at {looked.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"]
    # What is not asked need not be said each minute, nor what several triggers say alike.
    said = [each for each in looked.findings if each.verdict != "inconclusive" or each.trigger not in NO_CURE]
    for (verdict, mode, text), alike in groupby(said, key=lambda each: (each.verdict, each.mode, each.text)):
        names = ", ".join(each.trigger for each in alike)
        begin = f"  {names:8}  {shown.get(verdict, verdict):12}  "
        told = f" ({mode.replace('_', ' ')})" if verdict == "breach" and mode != "act" else ""
        lines += wrap(text + told, _WIDTH, initial_indent=begin, subsequent_indent=" " * _TEXT, **_WHOLE)
    if looked.deed:
        to = f" to {looked.deed.to}" if looked.deed.to else ""
        lines.append(f"  {looked.deed.did}{to}:")
        lines += wrap(looked.deed.text, _WIDTH, initial_indent="    ", subsequent_indent="    ", **_WHOLE)
    for note in looked.notes:
        lines += wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="    ", **_WHOLE)
    days = looked.days_per_false_alarm
    lines.append(f"  at most one false alarm in {days:g} days, of {', '.join(BY_CHANCE)} and drift")
    return "\n".join(lines)
