"""Verbs of packing: `pack`, `panel`, `verify`, `sign`."""

import argparse
import warnings
from pathlib import Path

from ..artifacts import Artifacts
from ..errors import UsageError
from ..mlflow_client import address_of_environment
from ..packing.kinds import scoped
from .options import (
    ARTIFACTS,
    KEY_VARIABLE,
    MODEL,
    POLICY,
    Verbs,
    argument,
    key_of,
    key_option,
    looking,
    model_directory,
    named_directory,
    note,
    operations_of,
)
from .progress import working


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "pack",
        pack,
        argument(
            "model",
            type=Path,
            nargs="?",
            help="an .onnx file, a LightGBM .txt file, or a .joblib file of your own (it runs code)",
        ),
        argument(
            "--from-mlflow",
            metavar="URI",
            help="models:/NAME/VERSION or models:/NAME@ALIAS, in place of a file; all flavours but ONNX may run code",
        ),
        argument("--panel", type=Path, required=True, help="the rows to judge the model by, as Parquet or CSV"),
        argument("--spec", type=Path, required=True, help="packing list (TOML); modelgates init writes an example"),
        ARTIFACTS,
    )
    verbs.add(
        "panel",
        panel,
        argument("file", type=Path, help="rows to judge models by, as Parquet or CSV, with a column ret_next"),
        argument("--time", default="time", metavar="COLUMN", help="the column of times; default: time"),
        argument("--asset", default="asset", metavar="COLUMN", help="the column of assets; default: asset"),
    )
    verbs.add(
        "verify",
        verify,
        MODEL,
        argument(
            "--signature",
            type=Path,
            nargs="?",
            const=Path(),
            metavar="FILE",
            help="also check a signature of the model; default: artifacts/signatures/ID.sigstore.json",
        ),
        argument(
            "--public-key",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="a key that may have signed, in PEM; may be given several times; default: those that the policy lists",
        ),
        ARTIFACTS,
        POLICY,
    )
    verbs.add(
        "sign",
        sign,
        MODEL,
        key_option("sign"),
        ARTIFACTS,
    )


@scoped()
def pack(arguments: argparse.Namespace) -> int:
    """Write a model directory from a tabular model (one row is one number), its panel and a packing list.

    The panel holds rows that the model was not fitted on: for a trading signal one for each day and asset, with the
    features, the target and the return to the next day. The gates judge by them. The packing list names its columns,
    says when training ended and how many candidates were tried.

    With --from-mlflow the model is a registered one of the MLflow server that operations.toml names, [mlflow]
    tracking_uri, or $MLFLOW_TRACKING_URI. Its flavour onnx, lightgbm, xgboost or sklearn is packed, the first of them
    that it has. Loading any but onnx may run code that was logged: pack models of people whom you trust.

    Prints the directory, artifacts/models/ID, which `modelgates gate` and `modelgates promote` take.
    """
    from ..packing.packing_list import pack_from_files, pack_from_mlflow

    model, asked = arguments.model, arguments.from_mlflow
    if (model is None) == (asked is None):
        raise UsageError("pack which model? Give a file, or --from-mlflow models:/NAME/VERSION")
    files: dict[str, Path] = {"panel": arguments.panel, "spec": arguments.spec, "artifacts": arguments.artifacts}
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show_warning  # type: ignore[assignment]  # of what it is given, it shows the message
        with working("packing"):
            if asked is None:
                packed = pack_from_files(model, **files)
            else:
                packed = pack_from_mlflow(asked, _server(Artifacts.at(arguments.artifacts)), told=note, **files)
    print(packed)
    return 0


def _server(artifacts: Artifacts) -> str:
    """Find the MLflow server: the registry's own, else the one that MLflow's variable names."""
    try:
        address = operations_of(artifacts).mlflow.address or address_of_environment()
    except ValueError as error:
        raise UsageError(str(error)) from None
    if address is None:
        raise UsageError(
            "which MLflow server? Name it in operations.toml, [mlflow] tracking_uri, or in $MLFLOW_TRACKING_URI"
        )
    return address


def panel(arguments: argparse.Namespace) -> int:
    """Print the digest of a panel, for a policy that admits only models judged by that panel.

    Then nobody chooses the days that flatter a model. Let somebody else than its maker keep the file, and write the
    printed line under [data] of registry/policy.toml. The digest is of times, assets and returns (ret_next) alone:
    features and targets may differ from model to model.
    """
    from ..packing.panel_input import kept_panel

    digest, rows = kept_panel(arguments.file, time=arguments.time, asset=arguments.asset)
    print(f'panel = "{digest}"  # {rows}')
    return 0


def _show_warning(message: Warning | str, *_: object) -> None:
    """Write a warning as the other commands do: a line of Python's own would quote our source."""
    note(f"warning: {message}")


def verify(arguments: argparse.Namespace) -> int:
    """Check names, sizes and SHA-256 of a model directory's files, and its schema; ends with 1 if it is not sound.

    With --signature also that a known key signed exactly these files, under this model's id.
    """
    from ..errors import IntegrityError
    from ..model.directory import LocalDirectory

    directory = named_directory(arguments).resolve()
    if arguments.public_key and arguments.signature is None:
        raise UsageError("--public-key checks a signature; add --signature")
    try:
        with LocalDirectory(directory) as model:
            print(f"{directory.name}: sound, sha256:{model.verify()}")
            if arguments.signature is not None:
                print(_signature_in_words(arguments, directory, model.digests))
    except IntegrityError as problems:
        print(problems)
        return 1
    return 0


def _signature_in_words(arguments: argparse.Namespace, directory: Path, files: dict[str, str]) -> str:
    from ..evidence.model_signature import listed_keys, read_public_key, verify_model

    artifacts = Artifacts.of(named_directory(arguments))
    if arguments.public_key:
        keys = [read_public_key(path) for path in arguments.public_key]
    else:
        keys = listed_keys(looking(artifacts, arguments).policy.evidence.keys)
    default = arguments.signature == Path()
    bundle = artifacts.signature(directory.name) if default else arguments.signature
    return f"{directory.name}: signed by {verify_model(bundle, directory.name, files, keys)} ({bundle})"


def sign(arguments: argparse.Namespace) -> int:
    """Sign a model for others: OpenSSF Model Signing 1.0, beside the models, in artifacts/signatures/ID.sigstore.json.

    The key is P-256 (modelgates keygen --p256), which the reference package `model_signing` verifies too, or Ed25519.
    Neither gates nor promotion ask for this signature.
    """
    from ..evidence.model_signature import sign_model
    from ..model.directory import LocalDirectory

    directory, artifacts = model_directory(arguments)
    key = key_of(arguments)
    if key is None:
        raise UsageError(
            f"sign with which key? Give --key FILE or ${KEY_VARIABLE}; make one: modelgates keygen --p256 FILE"
        )
    with LocalDirectory(directory) as model:
        model.verify()
        content = sign_model(directory.name, model.digests, key)
    place = artifacts.signature(directory.name)
    artifacts.write(place, content)
    print(f"signed: {place}")
    return 0
