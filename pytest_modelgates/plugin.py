"""The pytest plugin: hooks only. Every run of its environment loads it, so it imports pytest and stdlib alone."""

from __future__ import annotations  # the types below are imported for checkers alone

import argparse
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .gating.ledger import Run

MARKERS = (
    "hard: a gate that must pass before a model is promoted",
    "soft: a gate that warns and leaves the exit status alone",
    'gate(name): the declared identity of a gate, such as "parity.max_abs_diff"',
)
NOT_WRITTEN = "the report could not be written"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("modelgates", "gates for machine-learning models")
    group.addoption(
        "--model-dir",
        action="append",
        default=[],
        metavar="=DIR",
        help="run the gates on this model directory; may be given several times; write it with '='",
    )
    group.addoption(
        "--policy",
        metavar="=FILE",
        help="policy file; default: the registry's own, registry/policy.toml beside artifacts/, else the packaged one",
    )
    group.addoption(
        "--gate-report", metavar="=FILE", help="where the report goes; default: artifacts/reports/<id>/<time>.json"
    )
    group.addoption("--gate-html", metavar="=FILE", help="also write the run as a page for a browser (extra `pages`)")
    group.addoption(
        "--only-gate",
        action="append",
        default=[],
        metavar="=ID:GATE",
        help="run only this gate on the model of this id, as modelgates prove does; may be given several times",
    )
    group.addoption(
        "--gate-shard",
        type=_shard,
        metavar="=K/N",
        help="run the K-th of N parts of the gates; modelgates report merge joins their reports",
    )
    group.addoption("--strict-soft", action="store_true", help="let a soft gate that does not pass fail the run")


def _shard(text: str) -> str:
    from .evidence.shards import checked_shard

    try:
        return checked_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that other plugins may implement."""
    from .gating import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse `--debug=FILE` where a registry keeps its own files, before pytest opens it."""
    option = early_config.known_args_namespace
    if option.model_dir and getattr(option, "debug", None):
        from .gating.report_place import refuse_debug_file

        refuse_debug_file(option)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; given a model and no path, run the shipped gates."""
    from .policy import families

    _find_shipped_gates(config)
    for marker in (*MARKERS, *(f"{name}: {about}" for name, about in families.MARKERS.items())):
        config.addinivalue_line("markers", marker)
    if not config.option.model_dir:
        config.pluginmanager.register(NoModelHooks(), "modelgates-no-model")
        return
    from .evidence.trust import shipped_gates
    from .gating import fixtures
    from .gating.ledger import RUN, Run

    run = config.stash[RUN] = Run(config)
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(shipped_gates())]
        # A repository's ini file may set other patterns, by which no shipped gate would be collected.
        config.addinivalue_line("python_files", "test_*.py")
        config.addinivalue_line("python_functions", "test")
    for module in fixtures.MODULES:
        config.pluginmanager.register(module)
    config.pluginmanager.register(GateHooks(run), "modelgates-gates")
    config.pluginmanager.register(OutcomeHooks(run), "modelgates-outcomes")
    if not hasattr(config, "workerinput"):
        _start_report(config)
        config.pluginmanager.register(ReportHooks(run), "modelgates-report")


def _find_shipped_gates(config: pytest.Config) -> None:
    """Let `--pyargs pytest_modelgates.gates` work in a checkout, where the gates lie beside the package."""
    name = f"{__package__}.gates"
    if config.option.pyargs and any(argument.startswith(name) for argument in config.args):
        from .evidence.trust import shipped_gates

        config.args = [_path_of(argument, name, str(shipped_gates())) for argument in config.args]


def _path_of(argument: str, name: str, folder: str) -> str:
    module, colons, test = argument.partition("::")
    if module == name:
        return folder + colons + test
    inside = module.removeprefix(f"{name}.")
    return argument if inside == module else f"{folder}/{inside.replace('.', '/')}.py{colons}{test}"


def _start_report(config: pytest.Config) -> None:
    # pytest-json-report reads these options when it is configured, after us. We write the file ourselves,
    # because that plugin hides write errors and does not know the final exit status.
    if not hasattr(config.option, "json_report"):
        raise pytest.UsageError(
            "pytest-json-report is not loaded, and the report needs it: drop -p no:pytest_jsonreport, "
            "or add -p pytest_jsonreport.plugin"
        )
    if not hasattr(config.option, "tbstyle"):
        raise pytest.UsageError(
            "pytest's terminal plugin is off, and pytest-json-report needs it: drop -p no:terminal, use -q"
        )
    if not config.option.json_report:
        config.option.json_report, config.option.json_report_file = True, None
    # A dead xdist worker makes the run red whatever follows, and its replacement may wait for work without end.
    config.option.maxworkerrestart = "0"
    # Our table shows the timings that count, in lines that fit a terminal.
    config.option.benchmark_quiet = True


def _only_looks(config: pytest.Config) -> bool:
    option = config.option
    return bool(option.collectonly or option.showfixtures or option.show_fixtures_per_test)


def _refuse(config: pytest.Config, items: list[pytest.Item], error: pytest.UsageError) -> None:
    """Refuse what was collected. An xdist worker's errors are lost, so it collects nothing and passes the text on."""
    if not hasattr(config, "workeroutput"):
        raise error
    config.workeroutput["modelgates"] = str(error)
    items.clear()


class RefusalHooks:
    """Raises a worker's refusal in the process that the user started."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Raise the refusal that an xdist worker left, if there is one."""
        if refusal := getattr(node, "workeroutput", {}).get("modelgates"):
            raise pytest.UsageError(refusal)


class NoModelHooks(RefusalHooks):
    """A run without a model: it only refuses gates."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Refuse gates: without a model each is an empty parameter set, which pytest skips and calls green."""
        gates = [item.nodeid for item in items if item.get_closest_marker("gate")]
        if gates:
            what = f"{len(gates)} gates collected, such as {gates[0]}, but no model; pass --model-dir=DIR"
            _refuse(config, items, pytest.UsageError(what))


class GateHooks(RefusalHooks):
    """What happens to each gate, in whichever process runs it."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every gate on every model, and those of feature groups on every group of that model's sidecar."""
        from .gating.collection import feature_groups

        if "model_dir" not in metafunc.fixturenames:
            return
        if "feature_group" in metafunc.fixturenames:
            sidecars = self._run.sidecars
            pairs = [(each, group) for each in self._run.model_dirs for group in feature_groups(sidecars[each.name])]
            ids = [f"{directory.name}-{group}" for directory, group in pairs]
            metafunc.parametrize(("model_dir", "feature_group"), pairs, ids=ids, scope="session")
        else:
            ids = [directory.name for directory in self._run.model_dirs]
            metafunc.parametrize("model_dir", self._run.model_dirs, ids=ids, scope="session")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Mark the gates before `-m` looks at them; deselect those that the policy declares not applicable."""
        from .gating.collection import prepare

        try:
            not_applicable = prepare(items, self._run.policy, self._run.tasks, config)
        except pytest.UsageError as error:
            _refuse(config, items, error)
            return
        if not_applicable:
            items[:] = [item for item in items if item not in not_applicable]
            config.hook.pytest_deselected(items=not_applicable)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin the record of an attempt."""
        from .gating.ledger import begin_attempt

        begin_attempt(item, self._run.policy)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record each phase; as the outermost wrapper, see what every other plugin made of its report."""
        from .gating.ledger import record_phase

        raised = call.excinfo
        report = yield
        # Another plugin may take away what was raised; pytest itself puts some of it there.
        found = call.excinfo or raised
        record_phase(item, found.value if found else None, report, self._run)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_to_serializable(self) -> Generator[None, Any, Any]:
        """Let an xdist worker send a report, whatever was attached to it."""
        from .gating.plain import carried

        data = yield
        return carried(data)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Say *warned*, *waived* or what was not measured in the terminal; the outcome stays one of pytest's own."""
        from .gating.outcome import status_of

        return status_of(report)

    def pytest_unconfigure(self) -> None:
        """Stop watching what is loaded."""
        self._run.watch.close()


class OutcomeHooks:
    """What a gate raised, turned into its outcome before any other plugin sees the report."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Settle the outcome; as the innermost wrapper, before plugins such as Allure's read it."""
        from .gating.outcome import settle

        raised = call.excinfo
        report = yield
        found = call.excinfo or raised
        settle(item, found.value if found else None, report, self._run)
        return report


class ReportHooks:
    """What the whole run prints and writes, in the process that the user started."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give an xdist worker the resolved directories, since a link may move before the worker starts."""
        node.workerinput["modelgates"] = list(map(str, self._run.model_dirs))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object | None) -> None:
        """Remember that an xdist worker died: the gates it was to run may be missing without a trace."""
        self._run.cut_short |= error is not None

    def pytest_internalerror(self) -> None:
        """Remember it too if a worker broke: xdist goes on with the others, and may end with 0."""
        self._run.cut_short = True

    def pytest_keyboard_interrupt(self) -> None:
        """Remember that something ended the run, by Ctrl-C or `pytest.exit`, which may name a status of 0."""
        self._run.cut_short = True

    def pytest_report_header(self) -> list[str]:
        """Name the subject."""
        return self._run.header()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the record of each phase, from whichever process it came, before other plugins read its properties."""
        self._run.add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print the one table."""
        from .gating.summary import write_table

        if not _only_looks(config):
            write_table(terminalreporter, self._run)
            if os.environ.get("GITHUB_ACTIONS") == "true":
                from .gating.annotations import annotations

                for command in annotations(self._run):
                    terminalreporter.write_line(command)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remove an older report: if this run dies, a green one must not stand in its place."""
        try:
            if not _only_looks(session.config):
                self._run.clear()
        except OSError as error:
            pytest.exit(f"{NOT_WRITTEN}: {error}", returncode=3)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write the report after every other plugin had its say in the exit status."""
        if _only_looks(session.config):
            yield
            return
        self._run.close()
        if session.exitstatus == pytest.ExitCode.OK and not self._run.green:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR if self._run.empty else pytest.ExitCode.TESTS_FAILED
        yield
        report = session.config._json_report.report  # type: ignore[attr-defined]  # pytest-json-report's documented access
        try:
            self._run.write(report or {}, int(session.exitstatus))
        except OSError as error:
            pytest.exit(f"{NOT_WRITTEN}: {error}", returncode=3)
