"""What Prometheus reads of an adapter: requests, rows, times, which model, and whether it is killed."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from ..errors import KilledError
from ..extras import extra
from .adapter import Adapter
from .beside import Beside
from .feeds import Feed

_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        client = extra("prometheus_client", "serve")
        self._client, self._registry = client, client.CollectorRegistry()
        self.content_type = client.CONTENT_TYPE_LATEST.encode()
        own = {"registry": self._registry, "namespace": "modelgates"}
        self._requests = Counter[int]()
        self._times, self._time = [0] * (len(_SECONDS) + 1), 0.0
        self._registry.register(self)
        self._scored = self._refused = 0
        self._shadow = client.Gauge(
            "shadow_rows", "Rows given to models in shadow, since the start.", ["result"], **own
        )
        self._ab = client.Counter("ab_rows", "Rows while an A/B test runs, by the arm that they go to.", ["arm"], **own)
        self._ab_failed = client.Gauge("ab_failed", "1 while the candidate of an A/B test takes no rows.", **own)
        self._model = client.Gauge("model_info", "The model served.", ["name", "version", "digest", "arm"], **own)
        self._trouble = client.Gauge("reload_failed", "1 while the model that the link names is not served.", **own)
        self._killed = client.Gauge("killed", "1 while the kill switch is on.", **own)

    def serves(self, adapter: Adapter) -> None:
        """Note which model is served from now on."""
        self._model.clear()
        self._model.labels(adapter.sidecar.name, adapter.model_id, adapter.digest, adapter.arm).set(1)

    def answered(self, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests[status] += 1
        self._times[bisect_left(_SECONDS, seconds)] += 1
        self._time += seconds

    def collect(self) -> Iterator[Any]:
        """Give what is counted at every request, which the library's own counters would make dearer, as it asks."""
        core = extra("prometheus_client.core", "serve")
        requests = core.CounterMetricFamily("modelgates_requests", "Requests answered, by status.", labels=["status"])
        for status, count in self._requests.items():
            requests.add_metric([str(status)], count)
        yield requests
        rows = core.CounterMetricFamily(
            "modelgates_rows", "Rows that were scored, and rows without a score.", labels=["result"]
        )
        rows.add_metric(["scored"], self._scored)
        rows.add_metric(["refused"], self._refused)
        yield rows
        edges = [*(str(float(edge)) for edge in _SECONDS), "+Inf"]
        buckets = list(zip(edges, accumulate(self._times), strict=True))
        yield core.HistogramMetricFamily(
            "modelgates_request_seconds", "Time of a request [s].", buckets=buckets, sum_value=self._time
        )

    def scored(self, rows: int, refused: int) -> None:
        """Count rows."""
        self._scored += rows - refused
        self._refused += refused

    def dealt(self, arms: Counter[str]) -> None:
        """Count rows by arm while an A/B test runs."""
        for arm, rows in arms.items():
            self._ab.labels(arm).inc(rows)

    def shadowed(self, beside: Beside) -> None:
        """Note what became of the rows of models in shadow."""
        for result in ("scored", "failed", "dropped"):
            self._shadow.labels(result).set(getattr(beside, result))

    def text(self, adapter: Adapter, trouble: str | None) -> bytes:
        """Write them as Prometheus reads them; `trouble` is why another model is served than the link names."""
        self._trouble.set(trouble is not None)
        self._ab_failed.set(adapter.dealer is not None and adapter.dealer.trouble is not None)
        try:
            adapter.switch.refuse()
        except KilledError:
            self._killed.set(1)
        else:
            self._killed.set(0)
        text: bytes = self._client.generate_latest(self._registry)
        return text


class FeedMetrics:
    """The metrics of one feed, in a registry of their own, answered from a thread."""

    def __init__(self) -> None:
        client = extra("prometheus_client", "serve")
        self._client, self._registry = client, client.CollectorRegistry()
        own = {"registry": self._registry, "namespace": "modelgates"}
        rows = client.Counter("rows", "Rows that were scored, and rows without a score.", ["result"], **own)
        self._scored, self._refused = rows.labels("scored"), rows.labels("refused")
        self._repeated = client.Counter("feed_repeated", "Messages dropped, because the log had them.", **own)
        self._lag = client.Gauge("feed_lag", "What waits in the feed.", ["unit"], **own)
        self._trouble = client.Gauge("feed_trouble", "1 while feed or log cannot be used.", **own)
        self._not_taken = client.Gauge("reload_failed", "1 while the model that the link names does not score.", **own)
        self._model = client.Gauge("model_info", "The model that scores.", ["name", "version", "digest", "arm"], **own)

    def answer(self, host: str, port: int) -> int:
        """Answer from now on, and say at which port.

        Raises
        ------
        OSError
            If the port cannot be had.
        """
        server, _ = self._client.start_http_server(port, host, registry=self._registry)
        return int(server.server_port)

    def serves(self, adapter: Adapter) -> None:
        """Note which model scores from now on."""
        self._model.clear()
        self._model.labels(adapter.sidecar.name, adapter.model_id, adapter.digest, adapter.arm).set(1)

    def trouble(self, why: str | None) -> None:
        """Note whether the feed goes on."""
        self._trouble.set(why is not None)

    def not_taken(self, why: str | None) -> None:
        """Note whether another model scores than the link names."""
        self._not_taken.set(why is not None)

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        """Count a batch, and note what waits behind it."""
        self._scored.inc(rows - dead)
        self._refused.inc(dead)
        self._repeated.inc(repeated)
        if feed.lag is not None:
            self._lag.labels(feed.unit).set(feed.lag)
