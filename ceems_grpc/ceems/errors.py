"""Questions that cannot be answered, with the words and kinds of the CEEMS API."""

from enum import StrEnum


class ErrorType(StrEnum):
    """``errorType`` of the CEEMS API."""

    BAD_DATA = "bad_data"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    INTERNAL = "internal"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"


_STATUS = {
    ErrorType.BAD_DATA: 400,
    ErrorType.UNAUTHORIZED: 401,
    ErrorType.FORBIDDEN: 403,
    ErrorType.NOT_FOUND: 404,
    ErrorType.INTERNAL: 500,
    ErrorType.TIMEOUT: 503,
    ErrorType.UNAVAILABLE: 503,
}


class QuestionError(Exception):
    """A question that gets an error for an answer; the message may be shown to whoever asked."""

    def __init__(self, type_: ErrorType, message: str) -> None:
        super().__init__(message)
        self.type = type_

    @property
    def status(self) -> int:
        """The HTTP status that goes with the error."""
        return _STATUS[self.type]


def bad_data(message: str) -> QuestionError:
    """Make the error for a question that is malformed."""
    return QuestionError(ErrorType.BAD_DATA, message)


def no_user() -> QuestionError:
    """Make the error for a question without a signed-in user."""
    return QuestionError(ErrorType.UNAUTHORIZED, "no user identified")


def not_an_admin() -> QuestionError:
    """Make the error for an administrator's question by somebody else."""
    return QuestionError(ErrorType.FORBIDDEN, "current user does not have admin privileges")
