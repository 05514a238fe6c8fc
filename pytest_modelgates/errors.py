"""What can go wrong, one class for each thing a caller may handle. Messages are built where they are raised."""


class ModelgatesError(Exception):
    """Any refusal of this package; its text says what was found, what was expected and what to do."""


class StatisticsError(ModelgatesError):
    """The numbers given cannot answer the question asked."""


class InsufficientDataError(StatisticsError):
    """There are too few days, rows or trials for a verdict; a gate that raises it is inconclusive.

    Parameters
    ----------
    message : str
    sample : int, optional
        How many there are.
    """

    def __init__(self, message: str, *, sample: int | None = None) -> None:
        super().__init__(message)
        self.sample = sample


class NoReference(ModelgatesError):  # noqa: N818  # not an error: nothing speaks against the model
    """There is nothing yet to compare the model with; the gate neither passes nor fails."""


class FormatError(ModelgatesError):
    """A file does not have the form it must have."""


class UnreadableError(FormatError):
    """A file cannot be decoded, or not in the memory that may be used; what it holds is unknown."""


class IntegrityError(ModelgatesError):
    """A model directory is not, byte for byte, what its manifest says."""


class GoneError(IntegrityError):
    """A model directory is not, or no longer, at the path that was given."""


class OnnxError(ModelgatesError):
    """An ONNX model cannot be loaded or scored as the sidecar says."""


class PackError(ModelgatesError):
    """What was given cannot become a model directory."""


class PolicyError(ModelgatesError):
    """The policy cannot be read, contradicts itself, or lacks what was looked up in it."""


class RegistryError(ModelgatesError):
    """The link, the log and the models on disk do not agree."""


class RefusedError(ModelgatesError):
    """A promotion or rollback is refused; the text holds every reason, one a line."""


class BucketError(ModelgatesError):
    """A bucket cannot be reached, answers with an error, or does not hold what it must."""


class KilledError(ModelgatesError):
    """The kill switch is on."""


class RequestError(ModelgatesError):
    """A request that the serving adapter cannot answer as it stands; the text says what to send instead.

    Parameters
    ----------
    message : str
    status : int, optional
        Of the HTTP reply.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class MissingExtraError(ModelgatesError):
    """An optional library is not installed."""


class SealError(ModelgatesError):
    """A seal cannot be made, or does not hold."""


class HermeticError(ModelgatesError):
    """The hermetic run left no report that can be trusted."""


class ProofError(ModelgatesError):
    """The negative controls could not be run."""


class UsageError(ModelgatesError):
    """A command was called with words that it does not accept."""
