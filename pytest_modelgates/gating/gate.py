"""What a gate asks and records: measured values against the limits of the policy."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NoReturn

import pytest

from ..errors import InsufficientDataError, NoReference
from ..evidence.report import Evidence
from ..evidence.verdict import base_name
from ..policy.limits import Slo, short
from ..policy.policy import Policy
from ..storage.text import printable

Detail = str | float | int | None
State = Literal["measured", "inconclusive", "no reference yet"]


class Gate:
    """One gate of one model while it runs. What it records is in the ledger whether it then passes or not.

    Parameters
    ----------
    name : str
        The declared identity, with its parameter.
    policy : Policy
        Where the limits come from.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.policy = policy
        self.evidence: list[Evidence] = []
        self._unmeasured: InsufficientDataError | NoReference | None = None

    @property
    def limit(self) -> Slo:
        """The limit of the gate's own name."""
        return self.policy.limit(base_name(self.name))

    def check(
        self,
        value: float | None,
        *,
        slo: str | None = None,
        sample: int | None = None,
        interval: tuple[float, float] | None = None,
        doubt_miss: str | None = None,
        not_asked: str | None = None,
        **detail: Detail,
    ) -> None:
        """Record a value and fail unless it keeps its limit.

        Parameters
        ----------
        value : float or None
            In the unit of the SLO; None, NaN and infinity fail.
        slo : str, optional
            The SLO, if it is not the one of the gate's own name.
        sample : int, optional
            How many values it was measured from.
        interval : (float, float), optional
            Its confidence interval.
        doubt_miss : str, optional
            Why a miss would show nothing, such as too few days: the gate is then inconclusive.
        not_asked : str, optional
            Why the question does not arise for this model. The value is then one that keeps the limit, and people are
            shown these words in its place.
        **detail
            Further numbers worth keeping.
        """
        name, value = slo or base_name(self.name), _number(value)
        if doubt_miss and not self.policy.limit(name).contains(value):
            self.inconclusive(f"{name} {_short(value, 3)}, but {doubt_miss}", sample=sample)
        failure = self._measure(name, value, sample, interval, detail, not_asked)
        if failure:
            pytest.fail(failure, pytrace=False)

    def check_each(
        self,
        values: Mapping[str, float | None],
        *,
        sample: int | None = None,
        doubt_pass: str | None = None,
        by_slo: Mapping[str, Mapping[str, Detail]] | None = None,
        not_asked: Mapping[str, str | None] | None = None,
        **detail: Detail,
    ) -> None:
        """Record the values of several SLOs, and fail unless each keeps its limit; `detail` goes with the first.

        `doubt_pass` says why a pass would show nothing: the gate is then inconclusive. `by_slo` holds further numbers
        that go with single SLOs, and `not_asked` why the question of one does not arise, as for `check`.
        """
        values = {slo: _number(value) for slo, value in values.items()}
        if doubt_pass and all(self.policy.limit(slo).contains(value) for slo, value in values.items()):
            measured = ", ".join(f"{slo} {_short(value, 3)}" for slo, value in values.items())
            self.inconclusive(f"{measured}, but {doubt_pass}", sample=sample)
        first, own, idle = next(iter(values), None), by_slo or {}, not_asked or {}
        failures = [
            self._measure(
                slo, value, sample, None, (detail if slo == first else {}) | dict(own.get(slo, {})), idle.get(slo)
            )
            for slo, value in values.items()
        ]
        if any(failures):
            pytest.fail("\n".join(filter(None, failures)), pytrace=False)

    def _measure(
        self,
        name: str,
        value: float | None,
        sample: int | None,
        interval: tuple[float, float] | None,
        detail: Mapping[str, Detail],
        not_asked: str | None,
    ) -> str:
        """Record a value; return why it fails, an empty text if it does not."""
        limit = self.policy.limit(name)
        finite = value if value is not None and math.isfinite(value) else None
        self._record(
            name,
            value=finite,
            sample=None if sample is None else int(sample),
            interval=(float(interval[0]), float(interval[1]))
            if interval and all(map(math.isfinite, interval))
            else None,
            detail={key: _as_json(entry) for key, entry in detail.items()},
            not_asked=not_asked if limit.contains(value) else None,
        )
        if limit.contains(value):
            return ""
        known = "".join(f", {key} {_short(entry)}" for key, entry in detail.items() if entry is not None)
        return f"{name}: measured {_short(value)} {limit.unit}, limit {limit}{known}\n{limit.advice}"

    def check_none(self, offenders: Sequence[object], **detail: Detail) -> None:
        """Record the number of offenders, and fail unless it keeps its limit; `detail` holds what is worth keeping."""
        name = base_name(self.name)
        limit = self.policy.limit(name)
        shown = "; ".join(printable(str(offender)) for offender in offenders[:5])
        shown += f"; and {len(offenders) - 5} more" if len(offenders) > 5 else ""
        self._record(name, value=float(len(offenders)), note=shown or None, detail=dict(detail))
        if not limit.contains(len(offenders)):
            pytest.fail(
                f"{name}: measured {len(offenders)} {limit.unit}, limit {limit}: {shown}\n{limit.advice}", pytrace=False
            )

    def inconclusive(self, why: str, *, sample: int | None = None) -> NoReturn:
        """Fail because there is too little to measure from."""
        self._give_up(InsufficientDataError(why, sample=sample))

    def no_reference(self, why: str) -> NoReturn:
        """Say that there is nothing to compare with yet; promotion admits that only while nothing was ever live."""
        self._give_up(NoReference(why))

    def _give_up(self, error: InsufficientDataError | NoReference) -> NoReturn:
        self.record_unmeasured(error)  # now, because the gate's own code may catch what is raised
        raise error

    def record_unmeasured(self, error: InsufficientDataError | NoReference) -> str:
        """Record that nothing could be measured, once for each error, and return the message."""
        state: State = "no reference yet" if isinstance(error, NoReference) else "inconclusive"
        name, sample = base_name(self.name), getattr(error, "sample", None)
        if error is not self._unmeasured:
            self._unmeasured = error
            self._record(name, state=state, value=None, sample=sample, note=str(error))
        return f"{name}: {state}: {error}"

    def _record(
        self,
        slo: str,
        *,
        value: float | None,
        state: State = "measured",
        sample: int | None = None,
        interval: tuple[float, float] | None = None,
        detail: dict[str, Detail] | None = None,
        note: str | None = None,
        not_asked: str | None = None,
    ) -> None:
        limit = self.policy.limit(slo)
        self.evidence.append(
            Evidence(
                slo=slo,
                state=state,
                value=value,
                above=limit.above,
                at_least=limit.at_least,
                below=limit.below,
                at_most=limit.at_most,
                unit=limit.unit,
                sample=sample,
                interval=interval,
                detail=detail or {},
                note=note,
                not_asked=not_asked,
            )
        )


def _number(value: float | None) -> float | None:
    """Turn a measured number of any library into the one that is recorded, which is also the one that is judged."""
    if isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", "") == "b":
        raise TypeError(f"measured {value}, expected a number: give what was measured, and the policy compares it")
    return None if value is None else float(value)


def _as_json(entry: object) -> Detail:
    """Turn a number of any library into one of Python's own, and NaN or infinity into null, as JSON has neither."""
    if entry is None or isinstance(entry, str):
        return entry
    number: Detail = entry.item() if hasattr(entry, "item") else entry  # type: ignore[assignment]  # numpy's, or Python's
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _short(entry: Detail, digits: int = 4) -> str:
    return short(entry, digits) if isinstance(entry, float) else str(entry)
