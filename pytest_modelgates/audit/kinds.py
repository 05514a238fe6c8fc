"""The kinds of records in the audit log, each named once; of an event what it happens to, and what shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Action = Literal["promote", "rollback", "adopt"]

TRIAL, ADDED = "trial", "trials-added"
RECOVER, ADOPTED = "recover", "adopt-link"
GOLDEN_SET = "golden-set"
KILL: Final = "kill"
TRIP: Final = "trip"
UNKILL, DRILL = "unkill", "drill"
AB_START, AB_STOP = "ab-start", "ab-stop"
ACKNOWLEDGE = "acknowledge"
PULL, FOLLOW = "pull", "follow"

# How the kinds of the ledger of trials stand in a line.
OF_TRIALS = b'"kind":"trial'


@dataclass(frozen=True, slots=True)
class Kind:
    """What the fields of an event of this kind mean: its subject, and the thing whose SHA-256 is its evidence."""

    subject: str
    evidence: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        TRIAL: Kind("the candidate's name in the ledger", "what is kept of it"),
        ADDED: Kind("how many were tried elsewhere", "the market data they were tried on"),
        GOLDEN_SET: Kind("the model's id", "the golden's file"),
        KILL: Kind("the arm, or `all`", "the kill file"),
        UNKILL: Kind("the arm, or `all`", "the kill file that was removed"),
        DRILL: Kind("the arm, or `all`", "what the drill found"),
        TRIP: Kind("the arm", "the kill file"),
        AB_START: Kind("the test's name", "its plan"),
        AB_STOP: Kind("the test's name", "its plan and its end"),
        ACKNOWLEDGE: Kind("what somebody has seen", "its record or report"),
        PULL: Kind("the model's id", "the bucket's record"),
        FOLLOW: Kind("the live model's id", "the bucket's record that says so too"),
        RECOVER: Kind("the live model's id, or the log", "the lines set aside"),
        ADOPTED: Kind("the live model's id and digest", "the log before"),
    }
)
# What `modelgates log` shows: changes of the link, and events.
SHOWN = (*get_args(Action), *KINDS)
