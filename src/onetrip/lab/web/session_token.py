"""Who may do what: one secret in a file of the owner's, and the tokens that follow from it.

Everything is derived from the secret with HMAC, so that nothing else has to be kept: a token for
each scope, the value of the browser's cookie, and the token that the page sends with each write.
Whoever holds a derived token cannot compute the secret or another scope's token from it.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from onetrip.core import settings
from onetrip.core.errors import DataError

_SECRET_BYTES = 24


class Scope(StrEnum):
    """What a token allows.

    `READ` sees everything. `PROPOSE` also submits candidates, declares hypotheses and adds
    learnings, and can touch no tolerance, verdict or measurement. `ADMIN` also orders the queue.
    `WORK` takes attempts and hands in verdicts, and sees nothing else; it belongs to workers.
    """

    READ = "read"
    PROPOSE = "propose"
    ADMIN = "admin"
    WORK = "work"

    def allows(self, needed: "Scope") -> bool:
        """Whether a token of this scope may do what needs `needed`.

        >>> Scope.ADMIN.allows(Scope.READ), Scope.READ.allows(Scope.PROPOSE)
        (True, False)
        >>> Scope.WORK.allows(Scope.READ), Scope.PROPOSE.allows(Scope.WORK)
        (False, False)
        """
        return needed in _ALLOWS[self]


_ALLOWS = {
    Scope.READ: {Scope.READ},
    Scope.PROPOSE: {Scope.READ, Scope.PROPOSE},
    Scope.ADMIN: set(Scope),
    Scope.WORK: {Scope.WORK},
}
# A worker's token is its own, kept as a hash with the worker; the rest follow from the secret.
_DERIVED = (Scope.ADMIN, Scope.PROPOSE, Scope.READ)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The tokens that follow from one secret. The secret itself is the token of `ADMIN`."""

    secret: str

    def token(self, scope: Scope) -> str:
        """What opens the lab for `scope`, as ``?token=`` or ``Authorization: Bearer``."""
        return self.secret if scope is Scope.ADMIN else self._derive("token", scope)

    def cookie(self, scope: Scope) -> str:
        """The cookie's value: opens the page, and is no bearer token should it leak."""
        return self._derive("cookie", scope)

    def csrf(self, scope: Scope) -> str:
        """What the page sends with every write, which another origin cannot read."""
        return self._derive("csrf", scope)

    @property
    def cookie_name(self) -> str:
        """Of this lab: browsers share cookies between all ports of a host."""
        return f"onetrip-{self._derive('name', Scope.READ)[:8]}"

    def scope_of_token(self, presented: str) -> Scope | None:
        """The scope that a token opens, or None."""
        return self._match(presented, self.token)

    def scope_of_cookie(self, presented: str) -> Scope | None:
        """The scope that a cookie opens, or None."""
        return self._match(presented, self.cookie)

    def _derive(self, purpose: str, scope: Scope) -> str:
        message = f"onetrip {purpose} {scope}".encode()
        return hmac.new(self.secret.encode(), message, hashlib.sha256).hexdigest()[:48]

    @staticmethod
    def _match(presented, make) -> Scope | None:
        # Every scope is compared, each in constant time: the time tells nothing of the tokens.
        found = [scope for scope in _DERIVED if same(presented, make(scope))]
        return found[0] if found else None


def same(presented: str, expected: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(presented.encode(), expected.encode())


def new_secret() -> str:
    """24 random bytes, safe in an address."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def token_path(database: Path) -> Path:
    """Where the secret of the lab in `database` is kept."""
    return database.with_name(f"{database.name}.token")


def kept_secret(database: Path) -> str:
    """The secret of the lab in `database`, made when there is none; only its owner can read it.

    Raises
    ------
    DataError
        Others may read the file, or it holds no secret.
    """
    path = token_path(database)
    settings.make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_secret(path)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        secret = new_secret()
        file.write(secret + "\n")
    return secret


def _read_secret(path: Path) -> str:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise DataError(
            f"The token file {path} can be read by others (mode {path.stat().st_mode & 0o777:o}). "
            f"Delete it, and the lab makes a new one; or run: chmod 600 {path}"
        )
    secret = path.read_text(encoding="ascii", errors="replace").strip()
    if len(secret) < _SECRET_BYTES:
        raise DataError(f"The token file {path} holds no token. Delete it; the lab makes another.")
    return secret
