"""How client commands find Lampyr and speak to it: through botocore, as any client does."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Final

import click

from lampyr import settings as choices
from lampyr.cli.output import Failure, NotRunning
from lampyr.settings import Settings, SettingsError

ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL")
TEST_KEY: Final = "test"
"""Signs calls when the machine has no credentials; such a key lies in account 000000000000."""
INVOKE_SECONDS_MAX: Final = 930
"""Lambda's longest timeout, and time to start the function before and answer after it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which Lampyr a command speaks to."""

    endpoint_url: str
    region: str | None
    default_region: str

    @cached_property
    def session(self) -> Any:
        import botocore.session  # noqa: PLC0415 - 0.2 s, which `lampyr start` does not have

        session = botocore.session.get_session()
        # Credentials of a machine in EC2 are asked for over the network: seconds, here in vain.
        session.get_component("credential_provider").remove("iam-role")
        if session.get_credentials() is None:
            session.set_credentials(TEST_KEY, TEST_KEY)
        return session

    @property
    def region_name(self) -> str:
        configured = self.region or self.session.get_config_variable("region")
        return str(configured or os.environ.get("AWS_REGION") or self.default_region)

    @property
    def account_id(self) -> str:
        """The account that Lampyr takes from these credentials."""
        key = str(self.session.get_credentials().access_key)
        return key if len(key) == 12 and key.isdigit() else "0" * 12  # noqa: PLR2004

    def client(self, *, read_seconds: float = 60, connect_seconds: float = 5) -> Any:
        from botocore.config import Config  # noqa: PLC0415 - as above

        config = Config(
            read_timeout=read_seconds,
            connect_timeout=connect_seconds,
            retries={"total_max_attempts": 1},
            proxies={},
        )
        return self.session.create_client(
            "lambda", endpoint_url=self.endpoint_url, region_name=self.region_name, config=config
        )


def target_of(
    endpoint_url: str | None, region: str | None, environ: Mapping[str, str], cwd: Path
) -> Target:
    settings = choices.load({}, environ, choices.config_file(None, environ, cwd))
    named = endpoint_url or next(
        (value for name in ENDPOINT_VARIABLES if (value := environ.get(name))), None
    )
    return Target(
        endpoint_url=(named or own_url(settings)).rstrip("/"),
        region=region,
        default_region=settings.region,
    )


def own_url(settings: Settings) -> str:
    """Where a Lampyr with these settings is reached from this machine."""
    if settings.port == 0:
        raise SettingsError("the port is 0, any free one: say which by --endpoint-url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def client_command(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags of all client commands; `command` gets a `Target` and `as_json`."""

    @wraps(command)
    def with_target(endpoint_url: str | None, region: str | None, **rest: Any) -> None:
        target = target_of(endpoint_url, region, os.environ, Path.cwd())
        with readable_errors(target):
            command(target=target, **rest)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--region", help="AWS Region; as for other AWS clients when not given."),
        click.option("--endpoint-url", help="Where Lampyr is; see lampyr --help."),
    ):
        with_target = option(with_target)
    return with_target


@contextmanager
def readable_errors(target: Target) -> Iterator[None]:
    from botocore import exceptions  # noqa: PLC0415 - as above

    try:
        yield
    except exceptions.ClientError as error:
        raise refusal(error) from None
    except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError):
        raise not_running(target) from None
    except exceptions.ReadTimeoutError:
        raise Failure(f"Lampyr at {target.endpoint_url} took too long to answer.") from None
    except exceptions.HTTPClientError:
        message = f"The connection to Lampyr at {target.endpoint_url} broke before it answered."
        raise NotRunning(message) from None
    except (exceptions.BotoCoreError, ValueError) as error:
        raise Failure(str(error)) from None


def not_running(target: Target) -> NotRunning:
    return NotRunning(
        f"Lampyr is not running at {target.endpoint_url} : start it with 'lampyr start'"
    )


def refusal(error: Any) -> Failure:
    """What the service said, as a sentence that leads with the error's name."""
    body = error.response.get("Error", {})
    message = body.get("Message") or error.response.get("message") or str(error)
    return Failure(f"{body.get('Code', 'Error')}: {message}")
