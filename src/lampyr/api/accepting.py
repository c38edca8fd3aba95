"""Invocations whose caller does not wait for the result, handed to the queue without a task.

The rules are those of `operations/invoke.py`, which serves whatever is refused here, and says why.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lampyr.api.call import trace_of
from lampyr.api.invocations import LARGE_JSON_BYTES, check_small_payload
from lampyr.errors import ServiceError, ServiceException
from lampyr.http1 import encode
from lampyr.invoke.rules import check_tenant, is_split, resolve
from lampyr.model.event import Content

if TYPE_CHECKING:
    from lampyr.api.call import Services
    from lampyr.api.serializer import ErrorSerializer, Serialize
    from lampyr.api.warm import Done, Plan

log = logging.getLogger(__name__)

_SOME_ID: Final = "00000000-0000-4000-8000-000000000000"


class AcceptingPath:
    def __init__(self, services: Services, serialize: Serialize, error: ErrorSerializer) -> None:
        self._now = services.clock.now
        self._functions = services.store.functions
        self._queue = services.queue
        self._bytes_max = min(LARGE_JSON_BYTES - 1, services.limits.payload_bytes_async)
        self._error = error
        answer = encode(serialize({"StatusCode": 202}, _SOME_ID))
        self._before, _, self._after = answer.partition(_SOME_ID.encode())

    def begin(self, plan: Plan, payload: bytes, request_id: str, done: Done) -> bool:
        """Hand the event over; `done` gets the answer when it is durable.

        False, and nothing is done, where the call would be refused or takes longer to check.
        """
        reference = plan.reference
        function = self._functions.known(reference.key)
        if (
            function is None
            or len(payload) > self._bytes_max
            or is_split(function, reference.qualifier)
        ):
            return False

        def durable(error: BaseException | None) -> None:
            if error is None:
                done(self._before + request_id.encode() + self._after)
                return
            log.error("event not accepted", extra={"request_id": request_id}, exc_info=error)
            sorry = f"Lampyr failed to keep this event; its log says why, under {request_id}."
            done(encode(self._error(ServiceException(sorry), request_id)))

        try:
            version = resolve(function, reference.qualifier, reference.unqualified_arn)
            check_tenant(version, plan.tenant_id)
            if payload:
                check_small_payload(payload)
            content = Content(
                request_id=request_id,
                payload=payload or b"{}",
                trace_header=trace_of(plan.trace, self._now()),
                client_context=plan.client_context,
                tenant_id=plan.tenant_id,
            )
            self._queue.put(function, reference.qualifier, content, durable)
        except ServiceError:
            return False  # The other way comes to the same error, and says it.
        return True
