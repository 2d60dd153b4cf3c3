"""What may go wrong with a service: one class for each thing that a caller can do about it."""

from __future__ import annotations


class ServiceError(Exception):
    """A service gave no answer, or not labels; the message says what to do.

    One of no class below is a mistake in how a service is used or written, and ends a run.
    """

    retryable = False  # whether the same request may succeed a little later
    retry_after: float | None = None  # seconds, where the server said so
    sent = True  # whether bytes were spent on it

    def __init__(
        self, message: str = "", retry_after: float | None = None, *, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.retry_after, self.sent = retry_after, sent


class NoAnswerError(ServiceError):
    """This image has no answer now; another time it may."""

    retryable = True


class UnavailableError(NoAnswerError):
    """No answer just now: timeouts, lost connections, too many requests, faults of the server."""


class ProtocolError(NoAnswerError):
    """An answer that is none: damaged, cut off, or of another shape than published."""

    def __init__(self, message: str, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class AccountError(ServiceError):
    """No image will be answered until somebody sees to the account."""


class QuotaError(AccountError):
    """All that was paid for is used up: waiting for seconds does not help."""


class AuthenticationError(AccountError):
    """Credentials are missing, wrong or expired, or the server cannot prove who it is."""


class RefusedError(ServiceError):
    """The service does not take this image; others it may."""

    def __init__(self, message: str = "", sent: bool = True) -> None:
        super().__init__(message, sent=sent)
