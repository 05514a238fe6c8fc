"""The whole way on real prices: train, pack, gate, promote, serve, shadow, roll back, trade on paper, watch for drift.

Run by `make e2e`. Every step is a command that a user could type; what it prints goes to `artifacts/e2e.log`. Nights
pass by faketime. Where it is not installed all happens in one night, which is then all that the policy asks for.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pytest_modelgates import pack
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.evidence.report import GateRecord, read_report
from pytest_modelgates.evidence.verdict import Verdict, base_name, judge
from pytest_modelgates.model.directory import MODEL
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.storage.digests import sha256_of
from tests.support.webhooks import webhook

from .features import DATA, FEATURES, GROUPS, load_prices
from .models import MODELS, Trained

HERE = Path(__file__).parent
POLICY = HERE / "policy.toml"
NIGHTS = 2 if shutil.which("faketime") else 1
OPERATIONS = """format = 1
[alerts]
timeout_s = 60
[[alerts.route]]
url = "json://127.0.0.1:{port}/"
"""
# Every look at these prices counts: 49 variants on 2005 to 2021, two other splits (a panel from 2000, and refits every
# year), and these four models on 1996 to 2021 and on its part from 2005, each at 0, 2 and 5 basis points.
TRIED = 49 + 2 + 4 * 2 * 3
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
CHANGES = {
    "lightgbm_5d": "Small trees on a 5-day horizon.",
    "ridge_5d": "A line on a 5-day horizon.",
    "ridge_1d": "A line on a 1-day horizon: does it pay for its trading?",
    "lightgbm_overfit": "Trees that know the training rows by heart: do the gates notice?",
}


class Demonstration:
    """One run: where it keeps things, and what it has seen so far."""

    def __init__(self, root: Path) -> None:
        self.artifacts = Artifacts(root.resolve())
        self.begin = time.monotonic()
        self.policy: Policy = load_policy(POLICY)
        self.ids: dict[str, str] = {}
        self.reports: dict[str, Path] = {}
        self.refusals: dict[str, str] = {}
        root.mkdir(parents=True, exist_ok=True)
        self.log = (root / "e2e.log").open("w")

    def say(self, text: str) -> None:
        """Show progress."""
        print(f"[{time.monotonic() - self.begin:4.0f} s] {text}", flush=True)

    def run(self, *command: str, expect: int, prefix: tuple[str, ...] = ()) -> str:
        """Run a command as a user would, keep what it prints, and stop if its exit status is not the expected one."""
        shown = " ".join((*prefix, *command))
        done = subprocess.run(
            [*prefix, sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "100"},
        )
        print(f"$ {shown}\n{done.stdout}{done.stderr}[exit {done.returncode}]\n", file=self.log, flush=True)
        if done.returncode != expect:
            sys.exit(f"{done.stdout}{done.stderr}\n{shown}\nended with {done.returncode}, expected {expect}")
        return done.stdout + done.stderr

    def modelgates(self, *words: str, expect: int = 0, artifacts: Artifacts | None = None) -> str:
        """Run a verb of `modelgates`."""
        root = (
            ()
            if words[0] in ("serve", "shadow", "verify")
            else ("--artifacts", str((artifacts or self.artifacts).root))
        )
        return self.run("pytest_modelgates", *words, *root, expect=expect)

    def pack(self, trained: Trained) -> Path:
        """Pack a model and say how."""
        directory = packed(trained, self.artifacts.root)
        self.ids[trained.name] = directory.name
        self.modelgates("verify", str(directory))
        self.say(f"packed {trained.name} as {directory.name}, verified")
        return directory

    def shadow(self, name: str, csv: Path) -> None:
        """Shadow a candidate on live rows, beside the live model."""
        self.modelgates("shadow", "--onnx", str(self.artifacts.model(self.ids[name]) / MODEL), "--csv", str(csv))
        agreement = self.modelgates("compare", self.ids[name]).strip()
        self.say(f"shadowed {name}: {agreement.partition(': ')[2].replace(' with the live model', '')}")

    def gate(self, name: str, *, expect: int) -> None:
        """Run every gate on a candidate."""
        model_id = self.ids[name]
        self.reports[name] = self.artifacts.new_report(model_id, datetime.now(UTC))
        self.run(
            "pytest",
            f"--model-dir={self.artifacts.model(model_id)}",
            f"--policy={POLICY}",
            f"--gate-report={self.reports[name]}",
            expect=expect,
        )
        verdicts = [judge(record, self.policy)[0] for record in self.records(name)]
        passed = sum(verdict is Verdict.PASSED for verdict in verdicts)
        self.say(f"gated {name}: {passed} of {len(verdicts)} gates passed, pytest ended with {expect}")

    def promote(self, name: str) -> None:
        """Promote by the report."""
        self.modelgates("promote", "--report", str(self.reports[name]), "--policy", str(POLICY))
        self.say(f"promoted {name}: {self.ids[name]} is live")

    def refuse(self, name: str) -> None:
        """See a promotion refused."""
        answer = self.modelgates("promote", "--report", str(self.reports[name]), "--policy", str(POLICY), expect=1)
        self.refusals[name] = answer.strip()
        self.say(f"refused {name}")

    def serve(self, csv: Path, artifacts: Artifacts | None = None) -> None:
        """Serve rows with the live model."""
        self.modelgates("serve", "--onnx", str((artifacts or self.artifacts).latest_onnx), "--csv", str(csv))

    def roll_back_under_load(self, feed: pd.DataFrame, name: str) -> None:
        """See a running adapter answer, stop when it is killed, go on, and follow a rollback."""
        command = ["-m", "pytest_modelgates", "serve", "--onnx", str(self.artifacts.latest_onnx), "--http", "0"]
        with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as adapter:
            try:
                assert adapter.stdout is not None
                address = adapter.stdout.readline().split()[-1].partition("/v2/")[0]
                first = feed.iloc[[0]].assign(time=lambda rows: rows["time"].dt.strftime("%Y-%m-%d"))
                row = json.loads(first.to_json(orient="records", double_precision=15))
                before = self.ask(f"{address}/predict", {"rows": row})["model_version"]
                self.modelgates("kill", "--reason", "the demonstration stops every prediction")
                self.ask(f"{address}/predict", {"rows": row}, expect=503)
                self.modelgates("unkill", "--reason", "and lets them go on")
                self.ask(f"{address}/v2/health/ready")
                self.say(f"a running adapter answered with {before}, then was killed, and went on")
                self.modelgates("kill", "--drill", "--reason", "the demonstration proves the kill switch")
                self.say("a drill proved the kill switch on it")
                self.modelgates("rollback", self.ids[name], "--reason", "the demonstration returns to the first model")
                self.say(f"rolled back: {self.ids[name]} is live again")
                while self.ask(f"{address}/v2/health/ready")["serving"]["version"] != self.ids[name]:
                    time.sleep(0.1)
                self.say("the running adapter serves it")
            finally:
                adapter.terminate()

    def ask(self, url: str, body: object = None, *, expect: int = 200) -> Any:
        """Ask a running adapter, and stop if it answers otherwise than expected."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(url, data, timeout=30) as reply:
                status, content = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                status, content = error.code, error.read()
        print(f"$ curl {url}\n{content.decode()}\n[status {status}]\n", file=self.log, flush=True)
        if status != expect:
            sys.exit(f"{url}\nanswered with {status}, expected {expect}: {content.decode()}")
        return json.loads(content)

    def drill_drift(self, frozen: Path) -> str:
        """See drift on a feed that stops, in a copy: no row of it enters the live log."""
        live = self.artifacts.latest.readlink()
        with tempfile.TemporaryDirectory() as folder:
            copy = Artifacts(Path(folder).resolve() / "artifacts")
            shutil.copytree(self.artifacts.models / live, copy.models / live)
            shutil.copytree(self.artifacts.golden, copy.golden)
            shutil.copy(self.artifacts.promotions, copy.promotions)
            copy.latest.symlink_to(live)
            copy.latest_onnx.symlink_to(f"latest/{MODEL}")
            self.serve(frozen, copy)
            drifted = self.modelgates("drift-check", "--policy", str(POLICY), expect=1, artifacts=copy)
            self.say("checked drift on a feed whose momentum has stopped: found")
            return drifted

    def live_some_days(self, feed: pd.DataFrame) -> None:
        """Let nights pass on a registry of its own: a streak, a promotion, feeds that stop, a rollback, and alerts."""
        first, second = self.ids["lightgbm_5d"], self.ids["ridge_5d"]
        with tempfile.TemporaryDirectory() as folder, webhook() as service:
            desk = Path(folder).resolve()
            other, csv, registry = Artifacts(desk / "artifacts"), desk / "live.csv", desk / "registry"
            registry.mkdir()
            hours, nights = f"shadow_hours = {24 * NIGHTS - 24}", f"parity_nights = {NIGHTS}"
            policy = POLICY.read_text().replace("shadow_hours = 0", hours).replace("parity_nights = 0", nights)
            (registry / "policy.toml").write_text(policy)
            (registry / "operations.toml").write_text(OPERATIONS.format(port=service.port))

            def on(day: int, *words: str, expect: int = 0, live: str) -> str:
                root = () if words[0] in ("serve", "shadow") else ("--artifacts", str(other.root))
                prefix = ("faketime", "-f", f"+{day}d") if NIGHTS > 1 else ()
                said = self.run("examples.sp500.on_a_day", *words, *root, expect=expect, prefix=prefix)
                if live_id(other) not in (live, None):
                    sys.exit(f"{live_id(other)} is live on day {day}, expected {live}:\n{said}")
                return said

            def arrived(model_id: str) -> str:
                shutil.copytree(self.artifacts.model(model_id), other.model(model_id))
                other.latest_id.write_text(model_id)
                return str(other.model(model_id) / MODEL)

            arrived(first)
            on(0, "nightly", "--promote", live=first)
            onnx, days = arrived(second), np.array_split(feed["time"].unique(), NIGHTS)
            for night, its in enumerate(days, start=1):
                feed[feed["time"].isin(its)].to_csv(csv, index=False, date_format="%Y-%m-%d")
                for verb, path in (("serve", str(other.latest_onnx)), ("shadow", onnx)):
                    on(night, verb, "--onnx", path, "--csv", str(csv), live=first)
                said = on(night, "nightly", "--promote", live=second if night == NIGHTS else first)
                asked = [line.partition(" →")[0].strip() for line in said.splitlines() if "the policy asks for" in line]
                found = "; ".join(asked) or "promoted"
                self.say(f"on another registry, night {night} of {NIGHTS} with ridge_5d in shadow: {found}")
            freeze(feed, FEATURES).to_csv(csv, index=False, date_format="%Y-%m-%d")
            on(NIGHTS + 1, "serve", "--onnx", str(other.latest_onnx), "--csv", str(csv), live=second)
            on(NIGHTS + 1, "watch", expect=1, live=first)
            told = "\n".join(f"{content['title']}: {content['message']}" for _, content in service.taken)
            for event in (f"{second} is live, in place of {first}", f"rolled back to {first}, in place of {second}"):
                if event not in told:
                    sys.exit(f"the webhook was told:\n{told}\nexpected: {event}")
            self.say("there all feeds stopped: the watch went back to lightgbm_5d by itself, and a webhook was told")

    def trade_on_paper(self, prices: pd.DataFrame, feed: pd.DataFrame) -> None:
        """Follow the live predictions on paper, and see that the ledger is what the gates would have booked."""
        closes = (
            prices[prices.index >= feed["time"].min()]
            .rename_axis("time")
            .melt(ignore_index=False, var_name="asset", value_name="price")
        )
        csv = self.artifacts.root / "closes.csv"
        closes.reset_index().to_csv(csv, index=False, date_format="%Y-%m-%d")
        booked = self.modelgates("paper", "--prices", str(csv), "--policy", str(POLICY)).splitlines()[-1]
        self.modelgates("reconcile", "--policy", str(POLICY))
        self.say(f"traded on paper: {booked.partition(';')[0]}; reconciled")

    def records(self, name: str) -> tuple[GateRecord, ...]:
        """What a candidate's gates left."""
        return read_report(self.reports[name]).report.modelgates.models[self.ids[name]].gates

    def print_table(self) -> None:
        """Print every limit of every gate: what was measured of each model."""
        marks = {Verdict.PASSED: " ", Verdict.NO_REFERENCE: "–"}
        print()
        for number, (name, model_id) in enumerate(self.ids.items(), start=1):
            print(f"({number}) {model_id} {name}: {'refused' if name in self.refusals else 'promoted'}")
        print(f"{'gate':<30}{'limit':<13}" + "".join(f"{f'({number})':>8}  " for number in range(1, len(self.ids) + 1)))
        cells: dict[str, dict[str, str]] = {}
        for name in self.ids:
            for record in self.records(name):
                verdict = judge(record, self.policy)[0]
                for shown in record.evidence:
                    kept = self.policy.limit(shown.slo).contains(shown.value)
                    mark = " " if kept else marks.get(verdict, "✗" if record.severity == "hard" else "!")
                    row = cells.setdefault(record.gate if shown.slo == base_name(record.gate) else shown.slo, {})
                    value = "-" if shown.value is None else f"{shown.value:.3g}"
                    row[name] = "not asked" if shown.not_asked else f"{value} {mark}"
        order = list(self.policy.slo)
        for gate in sorted(cells, key=lambda name: (name.partition(".")[0], order.index(base_name(name)))):
            row = cells[gate]
            limit = str(self.policy.limit(base_name(gate))).replace(" ", "")
            print(f"{gate:<30}{limit:<13}" + "".join(f"{row.get(name, '- !'):>10}" for name in self.ids).rstrip())
        print("✗ a hard gate that does not pass   ! a soft one that warns   – no reference before the first promotion")
        print("- nothing could be measured")

    def ask_at_5bp(self, name: str) -> float:
        """Ask a promoted model for its significance at dearer trading, where it must not survive the trials."""
        directory, report = self.artifacts.model(self.ids[name]), self.artifacts.root / f"{name}_at_5bp.json"
        words = (f"--model-dir={directory}", "-m", "significance", "--strict-soft", f"--gate-report={report}")
        self.run("pytest", *words, f"--policy={HERE / 'policy_5bp.toml'}", expect=1)
        p = self.p_adjusted(read_report(report).report.modelgates.models[directory.name].gates)
        if p <= self.policy.limit("significance.p_adjusted").upper:
            sys.exit(f"{name} survives {TRIED} trials at 5 basis points: p {p}, expected that it does not")
        self.say(f"asked once more at 5 basis points: {name} does not survive the trials")
        return p

    @staticmethod
    def p_adjusted(records: tuple[GateRecord, ...]) -> float:
        """Find the p-value after all trials among what gates left."""
        value = next(record for record in records if record.gate == "significance.p_adjusted").evidence[0].value
        assert value is not None, "expected a panel that is long enough to measure"
        return value


def packed(trained: Trained, artifacts: Path) -> Path:
    """Pack a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations
        return pack(
            trained.estimator,
            trained.data.panel,
            features={name: GROUP_OF[name] for name in FEATURES},
            horizon=trained.horizon,
            trained_until=trained.data.trained_until.date(),
            changes=CHANGES[trained.name],
            tried=TRIED,
            data=f"sha256:{sha256_of(DATA)}",
            artifacts=artifacts,
        )


def freeze(live: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Stop a feed: its features stay at 0, their neutral value."""
    frozen = live.copy()
    frozen[features] = 0.0
    return frozen


def main() -> int:
    """Run the demonstration; anything unexpected ends it with a message and a status that is not 0."""
    demo = Demonstration(Path("artifacts"))
    demo.say("the policy of the demonstration sets nights and shadow hours to 0, but for another registry")
    prices = load_prices()
    trained = {name: fit(prices) for name, fit in MODELS.items()}
    demo.say(f"trained {len(trained)} models on prices to {trained['ridge_5d'].data.trained_until:%Y-%m-%d}")
    feed = trained["lightgbm_5d"].data.live
    live_csv, frozen_csv = (demo.artifacts.root / f"{name}_data.csv" for name in ("live", "frozen"))
    for path, rows in ((live_csv, feed), (frozen_csv, freeze(feed, list(GROUPS["momentum"])))):
        rows.to_csv(path, index=False, date_format="%Y-%m-%d")

    beside, days = ThreadPoolExecutor(1), list[Future[None]]()
    for name in trained:
        demo.pack(trained[name])
        if name == "ridge_5d":
            days.append(beside.submit(demo.live_some_days, feed))
        good = name in ("lightgbm_5d", "ridge_5d")
        if live_id(demo.artifacts) is not None:
            demo.serve(live_csv)
            demo.shadow(name, live_csv)
        demo.gate(name, expect=0 if good else 1)
        if good:
            demo.promote(name)
        else:
            demo.refuse(name)

    demo.roll_back_under_load(feed, "lightgbm_5d")
    asked = {name: beside.submit(demo.ask_at_5bp, name) for name in ("lightgbm_5d", "ridge_5d")}
    # It has scored the live rows before; scored again by another process, they would count twice.
    clean = demo.modelgates("drift-check", "--policy", str(POLICY))
    demo.say("checked drift on the live rows of 2022: none")
    demo.trade_on_paper(prices, feed)
    drifted = demo.drill_drift(frozen_csv)
    demo.modelgates("dashboard", "--out", str(demo.artifacts.root / "pages"), "--policy", str(POLICY))

    days.pop().result()
    dearer = {name: p.result() for name, p in asked.items()}

    demo.print_table()
    for name, answer in demo.refusals.items():
        print(f"\n{name}: {answer}")
    print(f"\nDrift, live rows: {clean.strip()}\nDrift, momentum frozen: {drifted.strip()}")
    print("\nPromotions and rollback (artifacts/promotions.log):")
    for entry in read_log(demo.artifacts.promotions)[-3:]:
        print(f"  {entry.time:%H:%M:%S} {entry.action:8} {entry.from_ or '-':>10} → {entry.to}  {entry.reason}")
    trees, line = ((demo.p_adjusted(demo.records(name)), dearer[name]) for name in dearer)
    print(
        f"\nWhat to bear in mind: the 20 names are survivors. {TRIED} looks were taken at these prices. After all of"
        f"\nthem the p of lightgbm_5d is {trees[0]:.2g} and that of ridge_5d {line[0]:.2g}."
        f"\nAt 5 basis points it is {trees[1]:.2g} and {line[1]:.2g}, and neither survives the trials."
        "\n\nWhere to look next:"
        "\n  artifacts/e2e.log       every command of this run, and what it printed"
        "\n  artifacts/pages/        registry.html, performance.html, quality.html and business.html, for a browser"
        "\n  artifacts/reports/      the evidence of every gate"
        "\n  .venv/bin/modelgates    status, log, list, verify"
        "\n  README.md, examples/sp500/README.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
