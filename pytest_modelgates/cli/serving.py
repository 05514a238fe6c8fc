"""Verbs that score rows, and those that stop it: `serve`, `shadow`, `kill`, `unkill`."""

import argparse
import os
import signal
import sys
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..artifacts import ALL_ARMS, Artifacts
from ..errors import FormatError, ModelgatesError, UsageError
from ..storage.paths import is_folder, is_there
from ..storage.text import shown
from .feeds import Broker, Count, address, pull, refuse_words
from .options import ARTIFACTS, Verbs, argument, artifacts_of, count, note, onnx_file
from .status import answered

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from ..audit.writer import LockRules
    from ..policy.operations import ServingLimits
    from ..predictions.records import Prediction
    from ..serving.adapter import Adapter
    from ..serving.board import Place
    from ..serving.drill import Drill
    from ..serving.server import Server


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    onnx = argument(
        "--onnx",
        type=onnx_file,
        required=True,
        help="artifacts/models/latest.onnx, or a candidate's model.onnx, or its id",
    )

    csv = argument(
        "--csv", type=Path, help="rows to score, plain or .gz: time, asset and the features, in the sidecar's order"
    )
    json_lines = argument(
        "--jsonl",
        metavar="FILE",
        help="rows to score, a JSON object a line with the same columns; - is standard input, scored as it comes",
    )
    follow = argument(
        "--follow",
        action="store_true",
        help="with --csv, score each row as it is appended, from where the log ends, until SIGTERM or Ctrl-C (extra "
        "`feeds`)",
    )
    metrics = partial(argument, "--metrics", type=address, metavar="[HOST:]PORT")
    reads = "with --follow or --feed, answer /metrics for Prometheus (extra `serve`)"
    feed = argument(
        "--feed",
        type=Broker.at,
        metavar="URL",
        help="score what a stream brings, a JSON object a message, until SIGTERM or Ctrl-C: nats://HOST:PORT/STREAM "
        "(JetStream), redis://HOST:PORT/DB/STREAM (extra `feeds`); experimental: amqp://HOST:PORT/VHOST/QUEUE, "
        "mqtt://HOST:PORT/TOPIC, kafka://HOST:PORT/TOPIC (extra `faststream`)",
    )
    verbs.add(
        "serve",
        serve,
        onnx,
        csv,
        follow,
        json_lines,
        feed,
        metrics(help=f"{reads}; with --workers, the first of as many ports, each of one worker alone"),
        argument(
            "--http",
            type=address,
            metavar="[HOST:]PORT",
            help="answer requests of the Open Inference Protocol, and follow the link; the host is 127.0.0.1 unless "
            "given, and port 0 takes a free one (extra `serve`)",
        ),
        argument(
            "--beside",
            type=onnx_file,
            action="append",
            default=[],
            metavar="ONNX",
            help="with --http, also score each answered row with this candidate, in shadow; may be given again",
        ),
        argument(
            "--workers",
            type=count,
            default=1,
            metavar="N",
            help="with --http, answer with so many processes, which share the port; one that dies is started again",
        ),
    )
    verbs.add("shadow", shadow, onnx, csv, follow, json_lines, feed, metrics(help=reads))
    stopping = (
        argument("--reason", default="", help="why, for the kill file and the audit log; required"),
        argument("--arm", default=ALL_ARMS, help="live, shadow, or the name of another arm; default: all"),
        ARTIFACTS,
    )
    drill = argument(
        "--drill",
        action="store_true",
        help="stop every arm for a moment, see that each server that runs refuses a row and comes back, and log it",
    )
    end_runs = argument(
        "--end-runs", action="store_true", help="with --drill: also end runs over rows, which shows that they stop"
    )
    verbs.add("kill", kill, *stopping, drill, end_runs, announces=True)
    verbs.add("unkill", unkill, *stopping, announces=True)


def serve(arguments: argparse.Namespace) -> int:
    """Score rows, or answer requests over HTTP, with the live model, and log the predictions."""
    if [arguments.csv, arguments.jsonl, arguments.feed, arguments.http].count(None) != 3:
        raise UsageError("serve what? Give one of --csv FILE, --jsonl FILE, --feed URL and --http PORT")
    if arguments.beside and arguments.http is None:
        raise UsageError("--beside shadows requests: give --http PORT, or run `modelgates shadow` on the same file")
    refuse_words(arguments)
    if arguments.workers > 1:
        return _supervise(arguments)
    return _score(arguments, "live") if arguments.http is None else _answer(arguments)


def shadow(arguments: argparse.Namespace) -> int:
    """Score rows with a candidate and log the predictions apart; nothing acts on them."""
    if [arguments.csv, arguments.jsonl, arguments.feed].count(None) != 2:
        raise UsageError("shadow what? Give one of --csv FILE, --jsonl FILE and --feed URL")
    refuse_words(arguments)
    return _score(arguments, "shadow")


def _score(arguments: argparse.Namespace, arm: Literal["live", "shadow"]) -> int:
    if arguments.follow or arguments.feed:
        return pull(arguments, arm)
    from ..serving.adapter import Adapter
    from ..serving.dealing import Dealer
    from ..serving.settings import settings_of

    source = arguments.csv or ("standard input" if arguments.jsonl == "-" else arguments.jsonl)
    count = Count(source)
    with Adapter(arguments.onnx, arm=arm, settings=settings_of) as adapter:
        signal.signal(signal.SIGUSR1, lambda *_: adapter.switch.stop("SIGUSR1"))
        if arm == "live":
            adapter.dealer = Dealer(adapter, settings_of)
        for record in _predicted(adapter, arguments):
            count.add(record)
    said = count.said()
    if not count.scored + count.refused:
        note(f"warning: {source}: {'a header and ' if arguments.csv else ''}not a row")
    print(f"{adapter.model_id} ({arm}): {said}; log: {adapter.log}")
    return 1 if count.refused else 0


def _predicted(adapter: "Adapter", arguments: argparse.Namespace) -> "Iterator[Prediction]":
    if arguments.csv:
        yield from adapter.run_csv(arguments.csv)
        return
    if is_folder(Path(arguments.jsonl)):
        raise FormatError(f"{arguments.jsonl}: a folder, expected a file or a pipe of rows")
    try:
        descriptor = 0 if arguments.jsonl == "-" else os.open(arguments.jsonl, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FormatError(f"{arguments.jsonl}: no such file") from error
    try:
        yield from adapter.run_json_lines(descriptor)
    finally:
        if descriptor:
            os.close(descriptor)


def _answer(arguments: argparse.Namespace) -> int:
    server = _server(arguments)
    server.run(*arguments.http, started=partial(_started, server, None))
    return 0


def _supervise(arguments: argparse.Namespace) -> int:
    """Answer with several processes. This one loads no model, so that it needs next to nothing."""
    from ..serving.workers import Supervisor

    if arguments.http is None:
        raise UsageError("--workers share a port: give --http PORT; a file, a pipe or a feed has one reader")
    workers, (host, port) = arguments.workers, arguments.http
    door, first = arguments.metrics or ("127.0.0.1", 0)
    last = first + workers - 1
    if first and last >= 2**16:
        raise UsageError(
            f"--metrics {first}: {workers} workers need the ports up to {last}, and 65535 is the last there is"
        )
    if first and first <= port <= last:
        raise UsageError(f"--metrics {first}: {workers} workers need the ports up to {last}, and --http has {port}")
    limits = _limits(arguments)
    supervisor = Supervisor(
        partial(_work, arguments),
        workers,
        address=(host, port),
        doors=(door, first),
        timeout_s=limits.timeout_s,
        drain_s=limits.drain_s,
    )
    return supervisor.run()


def _work(arguments: argparse.Namespace, place: "Place", shared: "socket.socket", own: "socket.socket") -> None:
    """Answer as one of several workers, in a process of its own, until that or its supervisor is told to end."""
    from multiprocessing import parent_process

    def command() -> int:
        parent = parent_process()
        server = _server(arguments, place)
        server.run_on(
            [shared, own], started=partial(_started, server, place), until=parent.sentinel if parent else None
        )
        return 0

    sys.exit(answered(command)[0])


def _limits(arguments: argparse.Namespace) -> "ServingLimits":
    from ..policy.place import operations_at

    return operations_at(Artifacts.of(arguments.onnx.resolve().parent)).serving


def _server(arguments: argparse.Namespace, place: "Place | None" = None) -> "Server":
    from ..serving.server import Server
    from ..serving.settings import settings_of

    return Server(
        arguments.onnx,
        arm="live",
        settings=settings_of,
        limits=_limits(arguments),
        shadows=arguments.beside,
        place=place,
    )


def _started(server: "Server", place: "Place | None", host: str, port: int) -> None:
    served = server.application.served
    url = f"http://{shown(host, port)}/v2/models/{served.protocol.model}"
    worker = f"; worker {place.number} of {len(place.doors)}: http://{place.door}" if place else ""
    # A worker that is started later serves, also if nobody reads that any more.
    with suppress(OSError) if place else nullcontext():
        print(f"{served.adapter.model_id} (live): {url}{worker}", flush=True)


def kill(arguments: argparse.Namespace) -> int:
    """Stop all predictions at once, of one arm or of all, until `unkill`; or prove with a drill that it works."""
    from ..audit import kill as switch
    from ..audit.kinds import KILL
    from ..audit.writer import require_root, settle
    from ..policy.place import operations_at
    from ..predictions.parts import arms
    from ..predictions.records import checked_arm

    if arguments.drill:
        return _drill(arguments)
    if arguments.end_runs:
        raise UsageError("--end-runs says what a drill may end: give --drill")
    artifacts = Artifacts.at(arguments.artifacts)
    # What runs goes on without its models, and is to be stopped also then.
    if not (is_there(artifacts.promotions) or is_there(artifacts.predictions)):
        require_root(artifacts)
    arm = checked_arm(arguments.arm)
    try:
        stopped = switch.kill(artifacts, arm, arguments.reason, KILL)
    except OSError as error:
        way_on = "nothing is stopped; stop each process that predicts by itself: kill -USR1 PID"
        raise OSError(error.errno, f"{error.strerror}; {way_on}", error.filename) from error
    print(stopped, flush=True)
    # It is stopped by now, whatever becomes of the rest.
    with suppress(ModelgatesError, OSError):
        if arm not in (ALL_ARMS, *(known := arms(artifacts))):
            note(
                f"warning: nothing has predicted as {arm} here yet; arms with predictions: {', '.join(known) or 'none'}"
            )
    try:
        settle(artifacts, operations_at(artifacts).registry)
    except (ModelgatesError, OSError) as error:
        note(f"the event is not in the audit log yet ({error}); the next command that writes the log adds it")
    return 0


def _drill(arguments: argparse.Namespace) -> int:
    from ..policy.place import operations_at

    if arguments.arm != ALL_ARMS:
        raise UsageError("a drill stops every arm for a moment; leave --arm out")
    artifacts = artifacts_of(arguments)
    rules = operations_at(artifacts).registry
    found = drilled(artifacts, rules, reason=arguments.reason, end_runs=arguments.end_runs)
    print(*found.servers, sep="\n")
    print(f"{found}; {_left(artifacts)}")
    return 0 if found.proved else 1


def drilled(artifacts: Artifacts, rules: "LockRules", *, reason: str, end_runs: bool = False) -> "Drill":
    """Drill the kill switch; a command that is told to end meanwhile leaves nothing stopped."""
    from ..serving.drill import drill

    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        return drill(artifacts, rules, reason=reason, end_runs=end_runs)
    except KeyboardInterrupt:
        note(f"the drill was cut short and shows nothing; {_left(artifacts)}")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _left(artifacts: Artifacts) -> str:
    from ..audit.kill import killed

    return "; ".join(map(str, killed(artifacts))) or "nothing is left stopped"


def unkill(arguments: argparse.Namespace) -> int:
    """Let predictions go on that `kill` or a trip stopped."""
    from ..audit import kill as switch
    from ..audit.writer import locked
    from ..policy.place import operations_at
    from ..predictions.records import checked_arm

    artifacts, arm = artifacts_of(arguments), checked_arm(arguments.arm)
    with locked(artifacts, operations_at(artifacts).registry):
        switch.unkill(artifacts, arm, arguments.reason)
    left = switch.killed(artifacts)
    print(f"{arm}: not killed any more" + "".join(f"; {each}" for each in left))
    return 0
