"""The one door to running a function: every invocation, from wherever, comes through here."""

import logging
from collections.abc import Callable
from typing import Final

from lampyr.clock import Clock
from lampyr.cluster.base import Environment
from lampyr.errors import ServiceError, ServiceException, TooManyRequestsException
from lampyr.invoke.admission import Admission
from lampyr.invoke.allotment import Provision
from lampyr.invoke.begun import Begun, Heard, cut_short
from lampyr.invoke.pool import EnvironmentPool
from lampyr.invoke.provisioned import ProvisionedEnvironments
from lampyr.invoke.rules import check_tenant
from lampyr.model.function import Function, FunctionKey, FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.tasks import Tasks
from lampyr.worker import outcomes
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.told import EnvironmentStoppedError, EventUnreadError

log = logging.getLogger(__name__)

DELIVERIES_MAX: Final = 3
"""Environments that an event may be given to before its caller hears that they end."""


class Invoker:
    def __init__(
        self,
        pool: EnvironmentPool,
        clock: Clock,
        admission: Admission,
        provisioned: ProvisionedEnvironments,
        tasks: Tasks,
    ) -> None:
        self._tasks = tasks
        self._pool = pool
        self._clock = clock
        self.monotonic = clock.monotonic
        self._admission = admission
        self._provisioned = provisioned
        self.on_throttle: Callable[[FunctionKey, str], None] = _nobody
        """Is told of each invocation that is refused: the function, and the ARN invoked."""

    def begin(self, version: FunctionVersion, invocation: Invocation, heard: Heard) -> bool:
        """Run `invocation` if an environment waits for it; false, and nothing is done, if not.

        For the warm path: no task and no future. `heard` is told the outcome, once; raises as
        `invoke` does. An environment waits as well where one at work is about to be through.
        """
        check_tenant(version, invocation.tenant_id)
        allotment = self._provisioned.find(version, invocation.invoked_arn)
        if allotment is not None and (ahead := self._provisioned.take(allotment)) is not None:
            Begun(version, invocation, heard, self).start(ahead)
            return True
        pool = self._admission.pool(version.key)
        pool.check()
        group = self._pool.group(version, invocation.tenant_id)
        if group is None:
            return False
        line = group.line
        begun = Begun(version, invocation, heard, self)
        if line.is_full:
            begun.count(pool, line)
            line.join(begun.turn)
        else:
            environment = self._pool.take_from(group)
            if environment is None:
                return False
            begun.count(pool, line)
            begun.start(environment)
        if allotment is not None:
            self._provisioned.spill(allotment)
        return True

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> InvokeResult:
        """Run `invocation` on `version`; raise a `ServiceError` where Lambda would refuse to.

        An event that no runtime has read, as its environment had been killed, gets another one.
        """
        check_tenant(version, invocation.tenant_id)
        for _ in range(DELIVERIES_MAX - 1):
            try:
                return await self._admitted(version, invocation)
            except EventUnreadError:
                log.info("event was not read", extra={"function": version.key.name})
            except TooManyRequestsException:
                self.on_throttle(version.key, invocation.invoked_arn)
                raise
        try:
            return await self._admitted(version, invocation)
        except EventUnreadError as error:
            return _failed(version, invocation, error.failure)

    async def _admitted(self, version: FunctionVersion, invocation: Invocation) -> InvokeResult:
        allotment = self._provisioned.find(version, invocation.invoked_arn)
        if allotment is not None and (ahead := self._provisioned.take(allotment)) is not None:
            return await self._run(ahead, version, invocation)
        counted = self._admission.pool(version.key)
        counted.check()
        counted.in_flight += 1
        if allotment is not None:
            self._provisioned.spill(allotment)
        try:
            environment = self._pool.take(version, invocation.tenant_id)
            if environment is None:
                return await self._run_cold(version, invocation)
            return await self._run(environment, version, invocation)
        finally:
            counted.in_flight -= 1

    # For what has begun -----------------------------------------------------------------

    def idle_environment(self, version: FunctionVersion, tenant: str | None) -> Environment | None:
        return self._pool.take(version, tenant)

    def anew(self, version: FunctionVersion, invocation: Invocation, heard: Heard) -> None:
        self._tasks.start(self._anew(version, invocation, heard), "invocation anew")

    # For the control plane --------------------------------------------------------------

    def configure(self, function: Function) -> None:
        """What was set for a function is in force from here on."""
        self._admission.configure(function)
        self._provisioned.configure(function)

    def forget(self, key: FunctionKey) -> None:
        """The function is deleted."""
        self._admission.forget(key)
        self._provisioned.forget(key)

    def provision(self, function: Function, qualifier: str) -> Provision:
        return self._provisioned.provision(function, qualifier)

    # Inside -----------------------------------------------------------------------------

    async def _anew(self, version: FunctionVersion, invocation: Invocation, heard: Heard) -> None:
        outcome: InvokeResult | ServiceError = cut_short()
        try:
            outcome = await self.invoke(version, invocation)
        except ServiceError as error:
            outcome = error
        finally:
            heard(outcome)

    async def _run(
        self,
        environment: Environment,
        version: FunctionVersion,
        invocation: Invocation,
        started: float | None = None,
    ) -> InvokeResult:
        if started is None:
            started = self._clock.monotonic()
        deadline = started + version.timeout_seconds
        try:
            return await environment.invoke(invocation, started=started, deadline=deadline)
        except EventUnreadError:
            raise
        except EnvironmentStoppedError as error:
            raise cut_short(error) from error

    async def _run_cold(self, version: FunctionVersion, invocation: Invocation) -> InvokeResult:
        """Wait for an environment; when its Init failed, try once more within the timeout.

        https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
        """
        try:
            got = await self._pool.wait(version, invocation.tenant_id, nested=invocation.nested)
            started = self._clock.monotonic()
            if isinstance(got, Failure):
                timeout = float(version.timeout_seconds)
                second = await self._pool.again(version, invocation, timeout)
                got = got if second is None else second
        except SandboxError as error:
            log.exception("environment did not start", extra={"function": version.key.name})
            raise ServiceException(f"Lampyr could not start the function: {error}") from error
        if isinstance(got, Failure):
            return _failed(version, invocation, got)
        return await self._run(got, version, invocation, started)


def _nobody(_key: FunctionKey, _invoked_arn: str) -> None:
    pass


def _failed(version: FunctionVersion, invocation: Invocation, failure: Failure) -> InvokeResult:
    told = outcomes.of_invocation(failure, invocation.request_id)
    return InvokeResult(
        executed_version=version.version,
        payload=told.payload,
        function_error="Unhandled",
        log_tail=told.log_tail,
    )
