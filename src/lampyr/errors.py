"""The errors Lambda's API names.

A class here has the name of an error shape in Lambda's service model, which is also where its
HTTP status is written; so no module below `lampyr.api` knows a status code. A few are answered
by the service although the model has no shape for them; `tests/style` lists those.

An error of the *function* is not in this tree. It is a normal outcome of an invocation and
travels as a value, `InvokeResult.function_error`.
"""

from typing import ClassVar


class ServiceError(Exception):
    """A request that Lambda refuses, in the words it uses to refuse it."""

    type: ClassVar[str | None] = "User"

    def __init__(self, message: str, **members: str) -> None:
        super().__init__(message)
        self.message = message
        self.members = members
        """Further members of the error shape, such as `Reason`."""

    @property
    def code(self) -> str:
        return type(self).__name__


class AliasLimitExceededException(ServiceError): ...


class CodeSigningConfigNotFoundException(ServiceError): ...


class CodeVerificationFailedException(ServiceError): ...


class CodeStorageExceededException(ServiceError): ...


class InvalidParameterValueException(ServiceError): ...


class ConcurrencyNotAvailableError(InvalidParameterValueException):
    """Answered as `InvalidParameterValueException` without `Type`, as recorded from AWS."""

    type = None

    @property
    def code(self) -> str:
        return "InvalidParameterValueException"


class InvalidRequestContentException(ServiceError): ...


class InvalidZipFileException(ServiceError): ...


class PolicyLengthExceededException(ServiceError): ...


class PreconditionFailedException(ServiceError): ...


class ProvisionedConcurrencyConfigNotFoundException(ServiceError): ...


class RecursiveInvocationException(ServiceError): ...


class RequestTooLargeException(ServiceError): ...


class ResourceConflictException(ServiceError): ...


class ResourceInUseException(ServiceError): ...


class ResourceNotFoundException(ServiceError): ...


class ServiceException(ServiceError):
    type = "Service"


class SnapStartException(ServiceError): ...


class SnapStartTimeoutException(ServiceError): ...


class TooManyRequestsException(ServiceError): ...


class UnsupportedMediaTypeException(ServiceError): ...


class AccessDeniedException(ServiceError):
    """Answered, with status 403, by the service's front; the model has no shape for it."""

    type = None


class ValidationException(ServiceError):
    """Refused before the operation saw it; the model has no shape for it."""

    type = None


class SerializationException(ServiceError):
    """The request's body is not of the types that the operation takes; no shape in the model."""

    type = None


class IncompleteSignatureException(ServiceError):
    """Answered, with status 403, to credentials that cannot be read; no shape in the model."""

    type = None


class RequestEntityTooLargeException(ServiceError):
    """Answered, with status 413, before a body is read; no shape in the model."""

    type = None


class UnknownOperationException(ServiceError):
    """No operation has this method and path; the model has no shape for it."""

    type = None


class NotServedError(ServiceException):
    """An operation or option of Lambda that this release of Lampyr does not honour.

    Answered as `ServiceException` with status 501, which no client retries and no client can
    mistake for success.
    """

    @property
    def code(self) -> str:
        return "ServiceException"
