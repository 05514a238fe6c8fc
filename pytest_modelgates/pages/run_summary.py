"""The summary of a run in Markdown: its table of gates, and why some did not pass."""

from ..evidence.report import Ledger
from ..evidence.shown import shown_of, word_of
from ..evidence.verdict import Verdict, advice, weigh
from ..policy.policy import Policy
from .markdown import bullets, table, titled

HEADINGS = ("gate", "sev.", "measured", "limit", "margin", "verdict")


def gates_summary(ledger: Ledger, policy: Policy) -> str:
    """Write the table of a run's gates, then why some did not pass, and what to do."""
    run, parts = ledger.run, []
    for model_id, model in ledger.models.items():
        judged = [
            weigh(
                record,
                policy,
                digest=model.digest_before,
                day=run.started.date(),
                strict_soft=run.strict_soft,
            )
            for record in model.gates
        ]
        rows = [
            (shown.name, shown.severity, shown.measured, shown.limit, shown.margin, shown.word)
            for each in judged
            for shown in shown_of(each, policy)
        ]
        # What blocks stands first: a reader looks no further than needed.
        missed = sorted((each for each in judged if each.why), key=lambda each: not each.blocks)
        reasons = [
            f"{each.record.gate} {word_of(each)}: {each.why}"
            + (f" → {advice(each.record, policy)}" if each.verdict is Verdict.FAILED else "")
            for each in missed
        ]
        result = "green" if run.exit_status == 0 else f"not green, ended with {run.exit_status}"
        parts.append(
            titled(
                f"gates of {model_id}: {result}",
                bullets([*reasons, *model.waivers]),
                table(HEADINGS, rows),
                f"sha256:{model.digest_before[:16]}, policy sha256:{run.policy_digest[:16]}",
            )
        )
    return "".join(parts)
