"""Reports of several machines, joined into the report of one run, or refused with each reason."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.evidence.report import Ledger, Report, StoredReport, read_report
from pytest_modelgates.evidence.results import results_of
from pytest_modelgates.evidence.seal import generate_key, load_key, seal, statement
from pytest_modelgates.evidence.shards import HEADLINE, checked_shard, merge
from pytest_modelgates.proving.hermetic import seal_report
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.storage.digests import listing, tree_digest
from pytest_modelgates.storage.strict_json import readable, typed
from tests.support.handmade import Registry, green_ledger, green_run, write_report

NOW = datetime.now(UTC)
Change = Callable[[Ledger, Ledger], tuple[Ledger, Ledger]]


def halves(registry: Registry) -> tuple[Ledger, Ledger]:
    """The ledgers of two shards, which ran every other gate."""
    directory, policy = registry.artifacts.model(registry.candidate), registry.policy
    run = green_run(directory, policy)
    first, second = (
        green_ledger(
            directory,
            policy,
            finished=NOW - timedelta(minutes=number),
            run=msgspec.structs.replace(run, gates=run.gates[number::2]),
            shard=f"{number + 1}/2",
        )
        for number in range(2)
    )
    return first, second


def of_run(ledger: Ledger, **changes: Any) -> Ledger:
    return msgspec.structs.replace(ledger, run=msgspec.structs.replace(ledger.run, **changes))


def of_model(ledger: Ledger, **changes: Any) -> Ledger:
    models = {name: msgspec.structs.replace(run, **changes) for name, run in ledger.models.items()}
    return msgspec.structs.replace(ledger, models=models)


def gates(ledger: Ledger) -> tuple[Any, ...]:
    (run,) = ledger.models.values()
    return run.gates


def written(folder: Path, *ledgers: Ledger) -> dict[str, StoredReport]:
    paths = [folder / f"{number}.json" for number in range(1, len(ledgers) + 1)]
    return {
        path.name: read_report(write_report(path, each, exitcode=each.run.exit_status))
        for path, each in zip(paths, ledgers, strict=True)
    }


def merged(registry: Registry, parts: dict[str, StoredReport]) -> dict[str, Any]:
    directory, policy = registry.artifacts.model(registry.candidate), registry.policy
    required = [record.gate for record in green_run(directory, policy).gates]
    return merge(parts, registry.candidate, tree_digest(directory), required, policy, now=NOW)


def test_a_merged_report_is_that_of_all_gates_whatever_the_order(registry: Registry, tmp_path: Path) -> None:
    parts = written(tmp_path, *halves(registry))
    whole = merged(registry, parts)
    assert readable(whole) == readable(merged(registry, dict(reversed(parts.items()))))
    ledger = typed(whole, Report, "merged").modelgates
    run = green_run(registry.artifacts.model(registry.candidate), registry.policy)
    assert {record.gate for record in gates(ledger)} == {record.gate for record in run.gates}
    assert ledger.run.shard is msgspec.UNSET
    # As old as its oldest part.
    assert ledger.run.finished == min(part.report.modelgates.run.finished for part in parts.values())
    assert sorted(each["shard"] for each in whole["shards"]) == ["1/2", "2/2"]
    assert {each["report"] for each in whole["shards"]} == {part.digest for part in parts.values()}


def overlap(first: Ledger, second: Ledger) -> tuple[Ledger, Ledger]:
    """The second shard ran a gate of the first again, which was red there."""
    (red, *others), again = gates(first), gates(first)[0]
    failed = msgspec.structs.replace(red, evidence=())
    return of_model(first, gates=(failed, *others)), of_model(second, gates=(*gates(second), again))


REFUSED: dict[str, tuple[Change, str]] = {
    "an-overlap": (overlap, " is in 1.json and in 2.json: a gate runs once"),
    "a-gap": (lambda a, b: (a, of_model(b, gates=gates(b)[1:])), " ran in none of them"),
    "another-shard-of-the-same": (
        lambda a, b: (a, of_run(b, shard="1/2")),
        "they are shards 1/2, 1/2: give each of the",
    ),
    "a-shard-of-three": (
        lambda a, b: (of_run(a, shard="1/3"), of_run(b, shard="2/3")),
        "they are shards 1/3, 2/3: give each of the shards of one run, once",
    ),
    "one-without-a-number": (
        lambda a, b: (a, of_run(b, shard=msgspec.UNSET)),
        "2.json is of no shard, and others are: run all with --gate-shard=K/N",
    ),
    "other-bytes": (
        lambda a, b: (a, of_model(b, digest_before="0" * 64, digest_after="0" * 64)),
        "2.json is of other bytes (000000000000…) than the model has now (",
    ),
    "bytes-that-changed": (
        lambda a, b: (a, of_model(b, digest_after="1" * 64)),
        "2.json is of other bytes (111111111111…)",
    ),
    "another-policy": (
        lambda a, b: (a, of_run(b, policy_digest="0" * 64)),
        "2.json used another policy (registry/policy.toml) than is in force here",
    ),
    "another-version": (
        lambda a, b: (a, of_run(b, package_digest="0" * 64)),
        "1.json and 2.json differ in version of pytest-modelgates",
    ),
    "other-libraries": (
        lambda a, b: (a, of_run(b, libraries={"numpy": "1"})),
        "1.json and 2.json differ in versions of libraries",
    ),
    "another-gate-file": (
        lambda a, b: (a, of_run(b, suite=dict.fromkeys(b.run.suite, "0" * 64))),
        "gates/test_integrity.py is another file in 1.json than in 2.json",
    ),
    "another-helper": (
        lambda a, b: (of_run(a, modules={"x.py": "0" * 64}), of_run(b, modules={"x.py": "1" * 64})),
        "x.py is another file in 1.json than in 2.json",
    ),
    "a-file-for-a-package": (
        lambda a, b: (of_run(a, hooks={"x": ("pytest_runtest_call",)}), of_run(b, modules={"x": "1" * 64})),
        "x is installed in 1.json, and a file elsewhere",
    ),
    "one-hermetic": (
        lambda a, b: (a, of_run(b, nonce="0")),
        "some of them are of modelgates gate and others of plain pytest: run all in the same way",
    ),
    "another-model": (
        lambda a, b: (a, msgspec.structs.replace(b, models={"1700000000": next(iter(b.models.values()))})),
        "2.json is of 1700000000, not of ",
    ),
    "the-future": (
        lambda a, b: (a, of_run(b, finished=NOW + timedelta(days=1))),
        "2.json is from the future (",
    ),
}


@pytest.mark.parametrize(("change", "why"), REFUSED.values(), ids=list(REFUSED))
def test_what_one_run_would_not_have_left_is_refused_by_name(
    registry: Registry, tmp_path: Path, change: Change, why: str
) -> None:
    parts = written(tmp_path, *change(*halves(registry)))
    with pytest.raises(RefusedError) as caught:
        merged(registry, parts)
    headline, *lines = str(caught.value).splitlines()
    assert headline == HEADLINE
    assert any(why in line for line in lines), lines


def test_a_refusal_says_everything_at_once(registry: Registry, tmp_path: Path) -> None:
    first, second = halves(registry)
    with pytest.raises(RefusedError) as caught:
        merged(registry, written(tmp_path, first, of_run(of_model(second, gates=()), strict_soft=True, nonce="0")))
    assert len(str(caught.value).splitlines()) == 4


def test_a_report_whose_statuses_differ_is_refused(registry: Registry, tmp_path: Path) -> None:
    first, second = halves(registry)
    parts = written(tmp_path, first)
    parts["2.json"] = read_report(write_report(tmp_path / "2.json", second, exitcode=1))
    with pytest.raises(RefusedError, match=r"2\.json: pytest ended with 0, the report says 1"):
        merged(registry, parts)


def run(registry: Registry, *words: object) -> int:
    place = ["--artifacts", registry.artifacts.root, "--policy", registry.policy_file]
    return main([str(word) for word in (*words, *place)])


def test_shards_promote_together_and_none_of_them_alone(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, *halves(registry))
    one, other = tmp_path / "1.json", tmp_path / "2.json"
    assert run(registry, "promote", "--report", one) == 1
    assert "the report is of shard 1/2 alone → modelgates report merge " in capsys.readouterr().err
    assert run(registry, "report", "merge", registry.candidate, one) == 1
    assert "they are shards 1/2: give each of the shards of one run, once" in capsys.readouterr().err
    assert run(registry, "report", "merge", registry.candidate, one, one) == 2
    assert capsys.readouterr().err == "modelgates: a report is given twice; give each once\n"
    assert run(registry, "report", "merge", registry.candidate, one, other) == 0
    said, kept = capsys.readouterr().out.splitlines()
    count = len(green_run(registry.artifacts.model(registry.candidate), registry.policy).gates)
    assert said == f"{count} gates of 2 reports, which ended with 0"
    assert run(registry, "promote", "--report", kept.removeprefix("kept: ")) == 0
    assert live_id(registry.artifacts) == registry.candidate


def test_a_red_shard_makes_the_whole_red(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = halves(registry)
    written(tmp_path, first, of_run(second, exit_status=1))
    assert run(registry, "report", "merge", registry.candidate, tmp_path / "1.json", tmp_path / "2.json") == 1
    kept = capsys.readouterr().out.splitlines()[-1].removeprefix("kept: ")
    assert run(registry, "promote", "--report", kept) == 1
    assert "pytest ended with 1, a green run ends with 0" in capsys.readouterr().err


def test_only_sealed_shards_are_sealed(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, directory = tmp_path / "key.pem", registry.artifacts.model(registry.candidate)
    public = generate_key(key)
    with registry.policy_file.open("a") as file:
        file.write(f'[evidence]\nlevel = "sealed"\nkeys = ["{public}"]\n')
    plain = written(tmp_path, *halves(registry))
    one, other = tmp_path / "1.json", tmp_path / "2.json"
    assert run(registry, "report", "merge", registry.candidate, one, other, "--key", key) == 1
    assert f"{one}, {other}: not sealed, and a sealed report is made of sealed ones" in capsys.readouterr().err
    sealed = [tmp_path / "1.dsse.json", tmp_path / "2.dsse.json"]
    for path, part in zip(sealed, plain.values(), strict=True):
        path.write_bytes(seal_report(part, directory, registry.policy, key))
    assert run(registry, "report", "merge", registry.candidate, one, sealed[1]) == 1
    assert "some of them are sealed and others are not: seal all, or none" in capsys.readouterr().err
    assert run(registry, "report", "merge", registry.candidate, *sealed) == 0
    kept = capsys.readouterr().out.splitlines()[-1].removeprefix("kept: ")
    assert run(registry, "promote", "--report", kept) == 1
    assert "the report is not sealed, and the policy asks for one that is" in capsys.readouterr().err
    assert run(registry, "report", "merge", registry.candidate, *sealed, "--key", key) == 0
    kept = capsys.readouterr().out.splitlines()[-1].removeprefix("kept: ")
    assert run(registry, "promote", "--report", kept) == 0


def test_a_signer_who_says_that_a_shard_failed_is_believed(registry: Registry, tmp_path: Path) -> None:
    """Of what is merged only the new seal is read, so what the old ones say must be heard before."""
    directory, key = registry.artifacts.model(registry.candidate), tmp_path / "key.pem"
    public, sealed = generate_key(key), {}
    for name, part in written(tmp_path, *halves(registry)).items():
        run, info = part.report.modelgates.models[registry.candidate], part.report.modelgates.run
        own = results_of(run, registry.policy, day=info.started.date())
        content = statement(
            listing(directory),
            {"policy": info.policy_digest, "gates": info.suite_digest},
            {"report": part.parsed},
            result="FAILED" if name == "2.json" else own.result,
            passed=own.passed,
            warned=own.warned,
            failed=own.failed,
        )
        path = tmp_path / f"{name}.dsse.json"
        path.write_bytes(seal(content, load_key(key)))
        sealed[name] = read_report(path, keys=[public])
    with pytest.raises(RefusedError) as caught:
        merged(registry, sealed)
    _, line = str(caught.value).splitlines()
    assert line.startswith("  2.json: ")
    assert "FAILED" in line


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/1001", "1/2/3", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a shard; give K/N, the K-th of N parts, such as 1/4"):
        checked_shard(text)


def test_a_shard_is_written_in_one_way() -> None:
    assert checked_shard("01/4") == "1/4"
