"""The schema that a model was made for, its checksum, and the claims of packing."""

import re
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.schema import schema_crc32, sidecar_crc32
from pytest_modelgates.model.sidecar import BenchClaim, ParityClaim, Sidecar
from pytest_modelgates.storage.strict_json import parse_json, readable, typed
from tests.support.onnx_models import sidecar

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":\n"), min_size=1)
COLUMNS = st.lists(st.tuples(NAMES, st.sampled_from(["float32", "int64", "bool"])), min_size=1, max_size=4)


def test_checksum_is_the_known_answer() -> None:
    # The check value of CRC-32 (IEEE 802.3), which every catalogue gives for the text 123456789.
    assert f"{zlib.crc32(b'123456789'):08x}" == "cbf43926"
    assert schema_crc32([("momentum", "float32"), ("value", "float32")]) == "edb3e2b1"
    assert (
        schema_crc32([("momentum", "float32"), ("value", "float32")])
        == f"{zlib.crc32(b'momentum:float32' + bytes([10]) + b'value:float32'):08x}"
    )


def test_checksum_keeps_leading_zeros() -> None:
    checksums = [schema_crc32([(f"f{number}", "float32")]) for number in range(200)]
    assert {len(checksum) for checksum in checksums} == {8}
    assert any(checksum.startswith("0") for checksum in checksums)


@given(columns=COLUMNS, others=COLUMNS)
def test_checksum_tells_schemas_apart(columns: list[tuple[str, str]], others: list[tuple[str, str]]) -> None:
    assert (schema_crc32(columns) == schema_crc32(others)) == (columns == others)


@pytest.mark.parametrize("name", ["a:float32", "a\nb", "a\n"])
def test_checksum_refuses_names_that_make_two_schemas_look_alike(name: str) -> None:
    message = f"column {name!r} holds a colon or a newline; rename it"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        schema_crc32([(name, "float32")])


def test_sidecar_reads_back_as_what_was_written() -> None:
    written = sidecar("momentum", "größe", dtype="int64", nullable=True)
    assert typed(parse_json(readable(written), "sidecar.json"), Sidecar, "sidecar.json") == written
    assert sidecar_crc32(written) == written.schema_crc32


def test_groups_keep_the_order_in_which_they_first_appear() -> None:
    described = msgspec.to_builtins(sidecar("a", "b", "c"))
    for feature, group in zip(described["features"], ["slow", "fast", "slow"], strict=True):
        feature["group"] = group
    groups = typed(described, Sidecar, "sidecar.json").groups
    assert list(groups.items()) == [("slow", [0, 2]), ("fast", [1])]


def test_panel_columns_are_keys_features_returns_and_reference() -> None:
    usual = sidecar("a", "b")
    assert usual.panel_columns == ["time", "asset", "a", "b", "target", "ret_next", "reference"]
    traded = msgspec.structs.replace(usual, volume="dollars")
    assert traded.panel_columns == ["time", "asset", "a", "b", "target", "ret_next", "dollars", "reference"]


@pytest.mark.parametrize(
    ("keys", "columns"),
    [
        ({"time": None, "asset": None, "trained_until": None}, []),
        ({"time": None, "asset": "customer", "trained_until": None}, ["customer"]),
        ({"time": "month", "asset": None}, ["month"]),
    ],
    ids=["no-keys", "customer-alone", "time-alone"],
)
def test_a_model_that_is_no_signal_has_a_baseline_in_place_of_returns(
    keys: dict[str, str | None], columns: list[str]
) -> None:
    other = msgspec.structs.replace(sidecar("a"), task="classification", horizon=0, metric="roc_auc", **keys)
    assert other.panel_columns == [*columns, "a", "target", "baseline", "reference"]


def test_a_signal_of_before_there_were_tasks_is_read_as_one() -> None:
    old = msgspec.to_builtins(sidecar("a"))
    del old["task"], old["metric"]
    assert typed(old, Sidecar, "sidecar.json") == sidecar("a")


def _feature(**changes: Any) -> dict[str, Any]:
    return {"features": [{"name": "a", "dtype": "float32", "group": "g"} | changes]}


REFUSED = [
    pytest.param({"horizon": 0}, "A signal model must say its `horizon`", id="no-horizon"),
    pytest.param({"horizon": -1}, "Expected `int` >= 0 - at `$.horizon`", id="horizon-behind"),
    pytest.param(
        {"time": None, "asset": None}, "A signal model must say its `time` and `asset`", id="signal-without-keys"
    ),
    pytest.param(
        {"metric": "r2"},
        "A signal model has no `metric`; leave it out, or name another `task`",
        id="signal-with-metric",
    ),
    pytest.param({"task": "regression", "horizon": 0}, "A regression model must say its `metric`", id="no-metric"),
    pytest.param(
        {"task": "classification", "metric": "roc_auc"},
        "A classification model has no `horizon`; leave it out, or name another `task`",
        id="classifier-with-horizon",
    ),
    pytest.param(
        {"task": "regression", "horizon": 0, "metric": "r2", "time": None},
        "`time` and `trained_until` go together; give both or neither",
        id="training-end-without-times",
    ),
    pytest.param(
        {"task": "regression", "horizon": 0, "metric": "r2", "target_neutralised": True},
        "A regression model has no `target_neutralised`; leave it out, or name another `task`",
        id="regression-with-a-neutralised-target",
    ),
    pytest.param({"task": "ranking"}, "Invalid enum value 'ranking' - at `$.task`", id="unknown-task"),
    pytest.param({"tried": 0}, "Expected `int` >= 1 - at `$.tried`", id="nothing-tried"),
    pytest.param({"format": 2}, "Invalid enum value 2 - at `$.format`", id="later-format"),
    pytest.param({"features": []}, "Expected `array` of length >= 1 - at `$.features`", id="no-features"),
    pytest.param(
        _feature(name="a\n"), "Expected `str` matching regex '^[^:\\\\n]+\\\\Z' - at `$.features[0].name`", id="newline"
    ),
    pytest.param(
        _feature(name=""), "Expected `str` matching regex '^[^:\\\\n]+\\\\Z' - at `$.features[0].name`", id="no-name"
    ),
    pytest.param(_feature(dtype="float16"), "Invalid enum value 'float16' - at `$.features[0].dtype`", id="float16"),
    pytest.param(_feature(dtype="object"), "Invalid enum value 'object' - at `$.features[0].dtype`", id="object"),
    pytest.param(_feature(group=""), "Expected `str` of length >= 1 - at `$.features[0].group`", id="no-group"),
    pytest.param(_feature(nullable=1), "Expected `bool`, got `int` - at `$.features[0].nullable`", id="one-for-true"),
    pytest.param(_feature(scale=1), "Object contains unknown field `scale` - at `$.features[0]`", id="unknown-key"),
    pytest.param(_feature(name="time"), "Column `time` has two meanings; rename one", id="feature-named-time"),
    pytest.param(
        _feature(name="reference"),
        "Column `reference` has two meanings; rename one",
        id="feature-named-reference",
    ),
    pytest.param({"target": "ret_next"}, "Column `ret_next` has two meanings; rename one", id="target-is-ret-next"),
    pytest.param(
        {"features": _feature()["features"] * 2}, "Column `a` has two meanings; rename one", id="feature-twice"
    ),
    pytest.param(
        {"output": {"name": "score", "index": -1}},
        "Expected `int` >= 0 - at `$.output.index`",
        id="column-before-first",
    ),
    pytest.param(
        {"trained_until": "2019-12-31T00:00:00"}, "Invalid RFC3339 encoded date - at `$.trained_until`", id="moment"
    ),
    pytest.param(
        {"trained_until": "31.12.2019"}, "Invalid RFC3339 encoded date - at `$.trained_until`", id="other-date"
    ),
    pytest.param(
        {"schema_crc32": "edb3e2b1\n"},
        "Expected `str` matching regex '^[0-9a-f]{8}\\\\Z' - at `$.schema_crc32`",
        id="crc-and-newline",
    ),
    pytest.param(
        {"schema_crc32": "EDB3E2B1"},
        "Expected `str` matching regex '^[0-9a-f]{8}\\\\Z' - at `$.schema_crc32`",
        id="crc-in-capitals",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_sidecar_that_cannot_be_true_is_refused_with_its_key(change: dict[str, Any], message: str) -> None:
    described = msgspec.to_builtins(sidecar("a", "b")) | change
    with pytest.raises(FormatError, match=f"^{re.escape(f'sidecar.json: {message}')}$"):
        typed(described, Sidecar, "sidecar.json")


def test_every_required_key_of_the_sidecar_is_missed_by_name() -> None:
    described = msgspec.to_builtins(sidecar("a"))
    for key in ("features", "schema_crc32", "output", "target", "tried"):
        without = {name: value for name, value in described.items() if name != key}
        with pytest.raises(FormatError, match=f"^sidecar.json: Object missing required field `{key}`$"):
            typed(without, Sidecar, "sidecar.json")


PARITY = {"ok": True, "max_abs_diff": 0, "rows": 1, "runtime": "onnxruntime 1", "batch_sizes": [1]}
CLAIMS = [
    pytest.param(
        ParityClaim, PARITY | {"max_abs_diff": -1}, "Expected `float` >= 0.0 - at `$.max_abs_diff`", id="negative"
    ),
    pytest.param(ParityClaim, PARITY | {"rows": 0}, "Expected `int` >= 1 - at `$.rows`", id="no-rows"),
    pytest.param(ParityClaim, PARITY | {"ok": "yes"}, "Expected `bool`, got `str` - at `$.ok`", id="word-for-true"),
    pytest.param(
        ParityClaim, PARITY | {"batch_sizes": [0]}, "Expected `int` >= 1 - at `$.batch_sizes[0]`", id="no-batch"
    ),
    pytest.param(
        BenchClaim,
        {"machine": "m", "runtime": "r", "batches": [{"rows": 1, "rounds": 1, "p50_ms": "fast"}]},
        "Expected `float`, got `str` - at `$.batches[0].p50_ms`",
        id="word-for-time",
    ),
]


@pytest.mark.parametrize(("kind", "value", "message"), CLAIMS)
def test_claim_that_cannot_be_true_is_refused_with_its_key(kind: type, value: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=f"^{re.escape(f'claim.json: {message}')}$"):
        typed(value, kind, "claim.json")
