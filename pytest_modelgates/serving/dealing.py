"""The candidate of an A/B test beside the live adapter: which rows are dealt to it, and when it takes none."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..artifacts import Artifacts
from ..audit.ab import ARM, Plan, read_plan
from ..audit.chain import tail
from ..errors import KilledError, ModelgatesError
from ..model.directory import MODEL
from ..predictions.records import Prediction
from ..storage.atomic import make_folder
from ..storage.paths import is_folder
from ..storage.text import printable
from .adapter import Adapter, Settings
from .beside import refuse_other_features
from .feeds import Write
from .scorer import Rows

_LOOK_S = 1.0
_AGAIN_S = 30.0  # until a candidate that could not be loaded is tried again
_STOP = 'to end it: modelgates ab stop --reason "…"'

Signature = tuple[int, int, int] | None


def warn(text: str) -> None:
    """Say it on stderr."""
    with suppress(OSError):
        print(f"modelgates: {printable(text)}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at the plan came to: the candidate to deal to, or why there is none."""

    file: Signature
    plan: Plan | None = None
    adapter: Adapter | None = None
    folder: tuple[int, int] | None = None
    together: bool = True
    trouble: str | None = None


class Dealer:
    """Deals the rows of one live adapter, as the plan says that lies below its artifacts root.

    Whatever keeps the candidate from answering leaves its rows with the live model, and is said once.

    Parameters
    ----------
    live : Adapter
        Of the arm `live`. It closes this.
    settings : callable
        As for `Adapter`.
    say : callable, optional
        Told what changed; on stderr if left out.
    """

    def __init__(
        self, live: Adapter, settings: Callable[[Artifacts], Settings], *, say: Callable[[str], None] = warn
    ) -> None:
        self._live, self._settings, self._say = live, settings, say
        self._found = _Found(None)
        self._look_at = self._again_at = 0.0
        self._killed = False

    @property
    def adapter(self) -> Adapter | None:
        """The candidate; None while no rows are dealt."""
        return self._found.adapter

    @property
    def trouble(self) -> str | None:
        """Why the candidate of a plan that lies there takes no rows."""
        return self._found.trouble

    @property
    def together(self) -> bool:
        """Whether the candidate's scores do not depend on the batch."""
        return self._found.together

    def look(self) -> None:
        """Look at the plan, once a second at most, and do what it says; loading a candidate may take a second."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            if self.changed():
                self.take(self.prepared())

    def changed(self) -> bool:
        """Whether the plan, or the candidate's directory, is another than it was; or it is time to try again."""
        found, file = self._found, _signature(self._live.artifacts)
        if file != found.file:
            return True
        if found.trouble:
            return time.monotonic() >= self._again_at
        return found.plan is not None and _folder(self._live.artifacts, found.plan) != found.folder

    def prepared(self) -> _Found:
        """Read the plan and load its candidate; changes nothing here."""
        file = _signature(self._live.artifacts)
        plan = None
        try:
            plan = read_plan(self._live.artifacts)
            return self._opened(file, plan) if plan else _Found(file)
        except Exception as error:  # whatever is wrong with a candidate, the live model goes on
            why = error if isinstance(error, (ModelgatesError, OSError)) else repr(error)
            test = f"A/B test {plan}" if plan else "the A/B test"
            return _Found(file, plan, trouble=f"{test}: all rows go to {self._live.model_id}, because {why}; {_STOP}")

    def take(self, found: _Found) -> None:
        """Deal by what was found from now on."""
        before, self._found = self._found, found
        self._again_at, self._killed = time.monotonic() + _AGAIN_S, False
        if before.adapter:
            with suppress(OSError):
                before.adapter.close()
        if found.trouble:
            if found.trouble != before.trouble:
                self._say(found.trouble)
        elif found.plan:
            self._say(f"A/B test {found.plan}; logged as {ARM}")
        elif before.plan or before.trouble:
            self._say(f"no A/B test runs any more: all rows go to {self._live.model_id}")

    def chosen(self, keys: Sequence[str]) -> list[int]:
        """Say which of these rows are dealt to the candidate."""
        plan, adapter = self._found.plan, self._found.adapter
        if plan is None or adapter is None or self._stopped(adapter):
            return []
        return [row for row, key in enumerate(keys) if plan.takes(key)]

    def scored(self, rows: Rows) -> list[Prediction] | None:
        """Score rows with the candidate; None if the live model has to."""
        adapter = self._found.adapter
        assert adapter is not None
        try:
            return adapter.scored_alone(rows)
        except KilledError:
            return None
        except Exception as error:
            self._give_up(f"its model failed ({error!r})")
            return None

    def writing(self, part: list[Prediction], rows: Rows, dealt: Mapping[int, int]) -> Write:
        """Give what logs a batch of both arms, or raises and leaves it in neither log.

        The candidate's rows come first: a feed goes on from where the live arm's log ends.

        Parameters
        ----------
        part : list of Prediction
            Is changed where the live model scores rows in the candidate's place after all.
        rows : Rows
        dealt : mapping from int to int
            Where in `part` the record of each row stands that the candidate scored.
        """
        live, theirs, logged = self._live, [*dealt.values()], False

        def score_instead() -> None:
            for place, record in zip(theirs, live.scored_alone(rows.taken([*dealt])), strict=True):
                part[place] = record
            theirs.clear()

        def write(first: Callable[[], None] = lambda: None) -> None:
            nonlocal logged
            live.switch.refuse()
            if not logged and theirs and not self._stands(part[theirs[0]]):
                score_instead()
            first()
            if not logged and theirs:
                logged = self.log([part[place] for place in theirs])
                if not logged:
                    score_instead()
                    first()
            taken = {*theirs}
            ours = [record for place, record in enumerate(part) if place not in taken]
            try:
                live.append(ours)
            except BaseException:
                if logged and self._took_back():
                    logged = False
                raise
            if logged:
                self._count([part[place] for place in theirs])
            live.count(ours)

        return write

    def log(self, records: list[Prediction]) -> bool:
        """Log the candidate's records; False if it was stopped since, or cannot log them: the live model has to score.

        A full disk is told by the live arm's own log.
        """
        adapter = self._found.adapter
        if adapter is None or adapter.digest != records[0].digest:
            return False
        try:
            adapter.append(records)
        except KilledError:
            return False
        except (OSError, ModelgatesError) as error:
            self._give_up(f"its log cannot be written ({error})")
            return False
        return True

    def close(self) -> None:
        """Close the candidate."""
        if self._found.adapter:
            self._found.adapter.close()
        self._found = _Found(None)

    def _opened(self, file: Signature, plan: Plan) -> _Found:
        # Here, since it loads much that is of no use without a test.
        from .own_panel import refuse_other_scores, rows_of_panel, scores_alike_in_every_batch

        live = self._live
        if live.digest != plan.live_digest:
            why = f"it compares with {plan.live}, and {live.model_id} is served"
            return _Found(file, plan, trouble=f"A/B test {plan}: {why}, which gets all rows; {_STOP}")
        if why_not := plan.outlived(tail(live.artifacts.log).change):
            raise ModelgatesError(why_not)
        folder = _folder(live.artifacts, plan)
        path = live.artifacts.model(plan.candidate) / MODEL
        adapter = Adapter(path, arm=ARM, artifacts=live.artifacts, settings=self._settings)
        try:
            if adapter.digest != plan.candidate_digest:
                raise ModelgatesError(
                    f"{plan.candidate} was changed since the test began: its digest is {adapter.digest[:12]}…, "
                    f"expected {plan.candidate_digest[:12]}…"
                )
            refuse_other_features(live, adapter, path)
            _refuse_without_log(live.artifacts)
            rows, native = rows_of_panel(adapter)
            refuse_other_scores(adapter, rows, native)
            together = scores_alike_in_every_batch(adapter, rows)
        except BaseException:
            adapter.close()
            raise
        return _Found(file, plan, adapter, folder, together)

    def _stopped(self, adapter: Adapter) -> bool:
        """Whether its arm is killed, which is said when it begins and when it ends."""
        why = None
        try:
            adapter.switch.refuse()
        except KilledError as error:
            why = error
        if (why is not None) != self._killed:
            self._killed = why is not None
            goes = f"its arm is stopped, and all rows go to {self._live.model_id}: {why}" if why else "goes on"
            self._say(f"A/B test {self._found.plan}: {goes}")
        return self._killed

    def _stands(self, record: Prediction) -> bool:
        """Whether the candidate that gave a record may still log it."""
        adapter = self._found.adapter
        if adapter is None or adapter.digest != record.digest:
            return False
        try:
            adapter.switch.refuse()
        except KilledError:
            return False
        return True

    def _took_back(self) -> bool:
        adapter = self._found.adapter
        with suppress(OSError):
            if adapter:
                adapter.take_back()
                return True
        return False

    def _count(self, records: list[Prediction]) -> None:
        """See whether the candidate trips; if it cannot be kept on the disk, it is stopped in this process at least."""
        adapter = self._found.adapter
        if adapter:
            with suppress(OSError, ModelgatesError):
                adapter.count(records)

    def _give_up(self, why: str) -> None:
        found = self._found
        why = f"all rows go to {self._live.model_id}, because {why}; {_STOP}"
        self.take(_Found(found.file, found.plan, trouble=f"A/B test {found.plan}: {why}"))


def _refuse_without_log(artifacts: Artifacts) -> None:
    folder = artifacts.predictions / ARM
    with suppress(NotADirectoryError):
        make_folder(folder, mode=artifacts.directory_mode)
    if not is_folder(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise ModelgatesError(
            f"{folder}: not a folder that can be written to, where its rows are logged; take away what lies there, or "
            "give it to this user"
        )


def _signature(artifacts: Artifacts) -> Signature:
    try:
        found = os.lstat(artifacts.ab)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _folder(artifacts: Artifacts, plan: Plan) -> tuple[int, int] | None:
    """Tell a candidate's directory from another that has its name."""
    try:
        found = os.stat(artifacts.model(plan.candidate))
    except OSError:
        return None
    return found.st_dev, found.st_ino
