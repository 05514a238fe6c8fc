"""What a gate asks and records: measured values against the limits of the policy."""

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import pytest

from ..evidence.report import Evidence
from ..evidence.verdict import base_name
from ..policy.limits import Slo, short
from ..policy.policy import Policy
from ..storage.text import printable

Detail = str | float | int | None


class NoReference(Exception):  # noqa: N818  # not an error: there is nothing to hold against the model
    """There is nothing yet that the model could be compared with; neither passed nor failed."""


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

    def check(
        self,
        value: float,
        *,
        slo: str | None = None,
        sample: int | None = None,
        interval: tuple[float, float] | None = None,
        **detail: Detail,
    ) -> None:
        """Record a value and fail unless it keeps its limit.

        Parameters
        ----------
        value : float
            In the unit of the SLO; what is not finite fails.
        slo : str, optional
            The SLO, if it is not the one of the gate's own name.
        sample : int, optional
            How many values it was measured from.
        interval : (float, float), optional
            Its confidence interval.
        **detail
            Further numbers worth keeping.
        """
        failure = self._measure(slo or base_name(self.name), value, sample, interval, detail)
        if failure:
            pytest.fail(failure, pytrace=False)

    def check_each(self, values: Mapping[str, float], *, sample: int | None = None, **detail: Detail) -> None:
        """Record the values of several SLOs, and fail unless each keeps its limit; `detail` goes with the first."""
        details = [detail, *[{} for _ in values]]
        failures = [
            self._measure(slo, value, sample, None, more)
            for (slo, value), more in zip(values.items(), details, strict=False)
        ]
        if any(failures):
            pytest.fail("\n".join(filter(None, failures)), pytrace=False)

    def _measure(
        self,
        name: str,
        value: float,
        sample: int | None,
        interval: tuple[float, float] | None,
        detail: Mapping[str, Detail],
    ) -> str:
        """Record a value; say why it fails, nothing if it does not."""
        limit, finite = self.policy.limit(name), math.isfinite(value)
        self.evidence.append(
            _evidence(
                name,
                limit,
                value=float(value) if finite else None,
                sample=None if sample is None else int(sample),
                interval=(float(interval[0]), float(interval[1]))
                if interval and all(map(math.isfinite, interval))
                else None,
                detail={key: _as_json(entry) for key, entry in detail.items()},
            )
        )
        if limit.contains(value):
            return ""
        known = "".join(f", {key} {_short(entry)}" for key, entry in detail.items())
        return f"{name}: measured {short(value)} {limit.unit}, limit {limit}{known}\n{limit.advice}"

    def check_none(self, offenders: Sequence[object]) -> None:
        """Record how many things offend, and fail unless there are none."""
        name = base_name(self.name)
        limit = self.policy.limit(name)
        shown = "; ".join(printable(str(offender)) for offender in offenders[:5])
        shown += f"; and {len(offenders) - 5} more" if len(offenders) > 5 else ""
        self.evidence.append(_evidence(name, limit, value=float(len(offenders)), note=shown or None))
        if not limit.contains(len(offenders)):
            pytest.fail(
                f"{name}: measured {len(offenders)} {limit.unit}, limit {limit}: {shown}\n{limit.advice}", pytrace=False
            )

    def inconclusive(self, why: str, *, sample: int | None = None) -> NoReturn:
        """Fail because there was too little to measure from."""
        name = base_name(self.name)
        self.evidence.append(
            _evidence(name, self.policy.limit(name), state="inconclusive", value=None, sample=sample, note=why)
        )
        pytest.fail(f"{name}: inconclusive: {why}", pytrace=False)

    def no_reference(self, why: str) -> NoReturn:
        """Say that there is nothing to compare with; admitted only before the first promotion ever."""
        name = base_name(self.name)
        self.evidence.append(_evidence(name, self.policy.limit(name), state="no reference yet", value=None, note=why))
        raise NoReference(f"{name}: no reference yet: {why}")


def _evidence(
    name: str,
    limit: Slo,
    *,
    value: float | None,
    state: str = "measured",
    sample: int | None = None,
    interval: tuple[float, float] | None = None,
    detail: dict[str, Detail] | None = None,
    note: str | None = None,
) -> Evidence:
    return Evidence(
        slo=name,
        state=state,  # type: ignore[arg-type]  # one of the three words of the three callers above
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
    )


def _as_json(entry: object) -> Detail:
    """Turn a number of whatever library into one of Python's own; what is not finite is null."""
    if entry is None or isinstance(entry, str):
        return entry
    number: Detail = entry.item() if hasattr(entry, "item") else entry  # type: ignore[assignment]  # numpy's, or Python's
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _short(entry: Detail) -> str:
    return short(entry) if isinstance(entry, float) else str(entry)
