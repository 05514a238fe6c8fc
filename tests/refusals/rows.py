"""Every run that must not promote, and every one that must, as rows of the TOML files beside this one.

A row's name says what was done. Its keys, all but `says` optional:

says         what the refusal must hold: one text, or several; rows of legitimate.toml have none
repair       what must stand behind the arrow of the first of them; default: the command that makes a report
model        "broken": one that a hard gate finds broken, so that only a trick can make it look good
files        what is written into the repository before the run
copies       ids under which the model lies there too
links        links in the repository, and where they point
shadow       a folder that gets a copy of our package in which nothing fails
paths        what pytest is given to run; default: the team's own suite, `checks`
given        the words that name the model; default: --model-dir={model}
words        further words for pytest; {model} is the model directory, {root} the repository
plugins      "all": every installed plugin takes part, Hypothesis among them, which triples the time
python       words for the interpreter
environment  variables of the run
folder       where the run starts; default: the repository
first        words of a run before this one
evidence     further lines of [evidence] in the policy, and what follows it; {key} is the public half of ours.pem,
             {digest} the model's digest, {yesterday} and {tomorrow} are days
by           "gates": `modelgates promote DIR` makes the run itself; "lazy": the one good run of the session is taken
after        the name of a function of deeds.py that is let loose before the promotion, or of several
edit         dotted places in the report, and what is written there

The run of a row is forked from a process that has imported the libraries already; that of the first row of each file,
and of each row to which only a fresh interpreter does justice, is a fresh process. `pytest -m slow` starts all afresh.
"""

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.warm import needs_fresh

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One row."""

    id: str
    row: dict[str, Any]
    fresh: bool = False
    """Whether its run is a fresh process."""

    def text(self, key: str, default: str = "") -> str:
        """The text of a key."""
        return str(self.row.get(key, default))

    def says(self) -> list[str]:
        """What the refusal must hold."""
        found = self.row["says"]
        return [found] if isinstance(found, str) else found

    @property
    def only_fresh(self) -> bool:
        """Whether the interpreter itself is told something, which a fork cannot make up for."""
        return "python" in self.row or needs_fresh(self.variables())

    def variables(self) -> dict[str, str]:
        """The variables that its run gets beside the usual ones."""
        given = {key: str(value) for key, value in self.row.get("environment", {}).items()}
        if "PYTHONPATH" in given:
            given["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
        return given


def rows_of(name: str) -> list[Case]:
    """Read a file; its first row is fresh, so that a fork is never the only witness."""
    rows = tomllib.loads((HERE / f"{name}.toml").read_text()).items()
    cases = [Case(f"{name}-{key}", row) for key, row in rows]
    return [replace(case, fresh=case.only_fresh or case is cases[0]) for case in cases]


def cases_of(*names: str) -> list[Any]:
    """Read the rows of some files as parameters of a test; at night each that is forked is started afresh, too."""
    parameters = []
    for case in (case for name in names for case in rows_of(name)):
        parameters.append(pytest.param(case, id=case.id))
        # `modelgates promote DIR` starts a fresh process itself, and where a report is taken over none is started.
        if not case.fresh and not case.text("by"):
            parameters.append(pytest.param(replace(case, fresh=True), id=f"{case.id}-fresh", marks=pytest.mark.slow))
    return parameters
