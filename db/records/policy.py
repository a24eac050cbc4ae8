"""Records of retries and stops: policies after failures, caps, and requests to stop."""

from dataclasses import dataclass

from lcma.db.records.work import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """After how many attempts with an outcome a job is run again without a person; None for all.

    They are counted since a person last asked for a retry. `remedy` says in words what the next
    attempt after an 'oom' has that this one had not, as 'alone on a full GPU'; `hopeless` why there
    is nothing more to give, and so no such attempt.
    """

    oom: int | None = 0
    timeout: int | None = 0
    code_error: int | None = 0
    diverged: int | None = 0
    remedy: str = ""
    hopeless: str = ""

    def times(self, outcome: Outcome) -> int | None:
        """Return how many attempts with this outcome are followed by another.

        Raises:
            ValueError: There is no policy about the outcome.
        """
        match outcome:
            case "oom":
                return self.oom
            case "timeout":
                return self.timeout
            case "code_error":
                return self.code_error
            case "diverged":
                return self.diverged
        raise ValueError(f"there is no policy for {outcome}")


@dataclass(frozen=True, slots=True)
class Cap:
    """Limit of the jobs of a sweep that run at once, over all its launches."""

    sweep_id: str
    parallel: int


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A person's request that the launches end that began before.

    `event` is its number, `time` Unix seconds; `sweep_id` is None where all sweeps are meant.
    """

    event: int
    time: float
    by: str
    sweep_id: str | None
