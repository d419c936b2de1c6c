"""Errors of questions, with the texts and types of the CEEMS API."""

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


_LONGEST = 1_000  # characters


class QuestionError(Exception):
    """The question cannot be answered. The message may be shown to the viewer.

    Messages quote the question. Long messages are cut so that they stay readable and do not fill logs.
    """

    def __init__(self, type_: ErrorType, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else message[:_LONGEST] + "...")
        self.type = type_

    @property
    def status(self) -> int:
        """The HTTP status that goes with the error."""
        return _STATUS[self.type]


def bad_data(message: str) -> QuestionError:
    """Make the error for a malformed question."""
    return QuestionError(ErrorType.BAD_DATA, message)


def no_user() -> QuestionError:
    """Make the error for a question without a signed-in user."""
    return QuestionError(ErrorType.UNAUTHORIZED, "no user identified")


def no_service_user() -> QuestionError:
    """Make the error for a panel query without a signed-in user if the settings have no service user."""
    message = (
        "no user identified: alert rules and public dashboards have no signed-in user; "
        "set serviceUser in the data source's settings to the user that they ask as"
    )
    return QuestionError(ErrorType.UNAUTHORIZED, message)


def not_an_admin() -> QuestionError:
    """Make the error for an administrator's question from a user who is not an administrator."""
    return QuestionError(ErrorType.FORBIDDEN, "current user does not have admin privileges")
