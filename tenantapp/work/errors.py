"""The errors of jobs.

JobsError                   also ``SettingsError``: a job is declared wrongly; the application does not start
UnknownJob                  the domain declares no job of this name
JobRefused                  the state of a job does not permit this
NoRetry                     a job has failed, and to try it again would not help
JobStopped                  the work on a job must stop
+-- JobCancelled, JobTooSlow, VisitLost, VisitStopped
"""

from tenantapp.operations.errors import FleetError
from tenantapp.settings import SettingsError


class JobsError(SettingsError):
    """A job is declared wrongly. ``str(error)`` is one sentence."""


class UnknownJob(LookupError):
    """The domain declares no job of this name: a mistake in the program."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no job called {name}; declare it with config.add_job")


class JobRefused(FleetError):
    """A job cannot be retried, cancelled or released."""


class NoRetry(FleetError):
    """A handler raises it: the job has failed, and to try it again would not help. It is the job's error."""


class JobStopped(FleetError):
    """Base of the errors that ``job.check`` and ``job.progress`` raise. A handler lets them pass."""


class JobCancelled(JobStopped):
    """Somebody asked to cancel the job."""

    def __init__(self) -> None:
        super().__init__("The job was cancelled.")


class JobTooSlow(JobStopped):
    """The job takes longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The job took longer than {seconds:g} seconds.")


class VisitLost(JobStopped):
    """Another worker has taken over the job, so nothing of this attempt is kept."""

    def __init__(self) -> None:
        super().__init__("Another worker has taken the job over.")


class VisitStopped(JobStopped):
    """The worker must end. Another worker begins the job again."""

    def __init__(self) -> None:
        super().__init__("The worker was stopped. The job begins again later.")
