"""What operations.toml says of serving. Apart from the adapter, which can reach no policy."""

import msgspec

from ..artifacts import Artifacts
from ..policy.place import operations_at
from .adapter import Settings
from .guards import TripLimits


def settings_of(artifacts: Artifacts) -> Settings:
    """Read how the predictions of an artifacts root are logged, and what stops them."""
    operations = operations_at(artifacts)
    log, lock = operations.log, operations.registry
    return Settings(
        part_mb=log.part_mb,
        features=log.features,
        hash_keys=log.hash_keys,
        lock_timeout_s=lock.lock_timeout_s,
        network_file_system=lock.network_file_system,
        reorder=operations.serving.reorder,
        trips=TripLimits(**msgspec.structs.asdict(operations.trips)),
    )
