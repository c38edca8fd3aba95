"""Where each service is, as the operator chose: embedded, at some URL, at AWS, or nowhere."""

from collections.abc import Mapping
from typing import Final

from lampyr.aws.base import AwsUnreachableError, Endpoint, NoEndpointError
from lampyr.neighbours.process import NeighbourProcess, NeighboursError
from lampyr.neighbours.rules import AWS, EMBEDDED, LAMBDA

_EMBEDDED_URL: Final = "http://localhost"


class Directory:
    """Implements `lampyr.aws.base.Endpoints`."""

    def __init__(
        self, chosen: Mapping[str, str], embedded: NeighbourProcess | None, own_url: str
    ) -> None:
        """`chosen`: URLs by the names that services are signed for; `embedded` may be none."""
        self._chosen = chosen
        self._embedded = embedded
        self._own_url = own_url

    def is_there(self, service: str) -> bool:
        """Whether it can be called without starting anything."""
        if service in self._chosen:
            return True
        return self._embedded is not None and self._embedded.is_running

    def is_embedded(self, service: str) -> bool:
        return service not in self._chosen and self._embedded is not None

    @property
    def generation(self) -> int:
        """Changes when the embedded services begin anew from what they saved."""
        return 0 if self._embedded is None else self._embedded.generation

    async def endpoint(self, service: str) -> Endpoint:
        if service == LAMBDA:
            return Endpoint(url=self._own_url)
        if (chosen := self._chosen.get(service)) is not None:
            if chosen == AWS:
                return Endpoint(url="", is_aws=True)
            return Endpoint(url=chosen)
        if service not in EMBEDDED:
            raise NoEndpointError(
                f"Lampyr has no neighbour that serves '{service}': name one with --endpoint "
                f"{service}=URL, or {service}=aws"
            )
        if self._embedded is None:
            raise NoEndpointError(
                f"the neighbours are off, and no endpoint is named for '{service}'"
            )
        try:
            await self._embedded.start()
        except NeighboursError as error:
            raise AwsUnreachableError(f"the neighbours do not run: {error}") from error
        return Endpoint(url=_EMBEDDED_URL, socket=self._embedded.socket_path)
