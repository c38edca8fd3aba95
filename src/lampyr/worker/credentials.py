"""The temporary credentials of execution roles: who was given which, and whose account they name.

A function signs its calls with them, so the API finds the account of a call by its access key.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
"""

import base64
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_KEY_CHARACTERS: Final = 16
_SECRET_BYTES: Final = 30
"""Thirty bytes are forty characters of base64, the length of AWS's secrets."""
_TOKEN_BYTES: Final = 210
ISSUED_MAX: Final = 20_000
"""More than environments can be alive at once; beyond it the oldest credentials stop working."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    access_key_id: str
    """`ASIA` and sixteen more characters, as AWS's temporary keys."""
    secret_access_key: str
    session_token: str
    account_id: str
    role_arn: str
    session_name: str
    """The function's name, as in AWS's `assumed-role/ROLE/FUNCTION`."""


class CredentialBook:
    """The credentials that are out, by access key; bounded, and in memory alone.

    They work until their environment ends. Environments do not outlive the server, so nothing of
    this has to either.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], issued_max: int = ISSUED_MAX) -> None:
        self._random_bytes = random_bytes
        self._issued_max = issued_max
        self._issued: OrderedDict[str, Credentials] = OrderedDict()
        self._shared: Counter[str] = Counter()
        """How often each has to be revoked besides the once."""

    def issue(self, account_id: str, role_arn: str, session_name: str) -> Credentials:
        credentials = Credentials(
            access_key_id=self._new_key(),
            secret_access_key=base64.b64encode(self._random_bytes(_SECRET_BYTES)).decode(),
            session_token=base64.b64encode(self._random_bytes(_TOKEN_BYTES)).decode(),
            account_id=account_id,
            role_arn=role_arn,
            session_name=session_name,
        )
        if len(self._issued) >= self._issued_max:
            self._issued.popitem(last=False)
        self._issued[credentials.access_key_id] = credentials
        return credentials

    def adopt(self, credentials: Credentials) -> None:
        """Credentials that another book gave out."""
        self._issued[credentials.access_key_id] = credentials

    def find(self, access_key_id: str) -> Credentials | None:
        """None for a key that was never given out, or is revoked."""
        return self._issued.get(access_key_id)

    def account_of(self, access_key_id: str) -> str | None:
        credentials = self.find(access_key_id)
        return None if credentials is None else credentials.account_id

    def secret_of(self, access_key_id: str) -> str | None:
        credentials = self.find(access_key_id)
        return None if credentials is None else credentials.secret_access_key

    def share(self, access_key_id: str) -> None:
        """Another environment has them in its memory: they are revoked when that one ends, too."""
        self._shared[access_key_id] += 1

    def revoke(self, access_key_id: str) -> None:
        """They stop working; a key that is not out changes nothing."""
        if self._shared[access_key_id]:
            self._shared[access_key_id] -= 1
            return
        del self._shared[access_key_id]
        self._issued.pop(access_key_id, None)

    def __len__(self) -> int:
        return len(self._issued)

    def _new_key(self) -> str:
        while True:
            # Base32 has AWS's alphabet for these: capitals and the digits 2 to 7.
            random = base64.b32encode(self._random_bytes(_KEY_CHARACTERS * 5 // 8)).decode()
            key = f"ASIA{random}"
            if key not in self._issued:
                return key
