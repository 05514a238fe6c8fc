"""What operations.toml says of serving. Apart from the adapter, which can reach no policy."""

from ..artifacts import Artifacts
from ..policy.place import operations_at
from .adapter import LogSettings


def log_settings(artifacts: Artifacts) -> LogSettings:
    """Read how the predictions of an artifacts root are logged."""
    operations = operations_at(artifacts)
    log, lock = operations.log, operations.registry
    return LogSettings(
        part_mb=log.part_mb,
        features=log.features,
        hash_keys=log.hash_keys,
        lock_timeout_s=lock.lock_timeout_s,
        network_file_system=lock.network_file_system,
    )
