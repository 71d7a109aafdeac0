"""The key of an endpoint: from an environment variable or the user's keyring, and shown nowhere.

It knows nothing about what the key opens.
"""

from __future__ import annotations

import os
from typing import Final

from llmagentos.abi.errors import EAUTH, EINVAL, ENOSYS

_HIDDEN: Final = "[key]"
_SHORTEST: Final = 4
"""Characters. What is shorter is no secret, and may be part of any word."""


class Key:
    """``value``: None, if the endpoint wants none. ``source``: where it is from, for people."""

    def __init__(self, value: str | None, source: str) -> None:
        self.value = value
        self.source = source

    def __repr__(self) -> str:
        return f"Key(from {self.source})"

    def redact(self, text: str) -> str:
        """``text`` without the key: providers say it back when they don't like it."""
        if self.value is None or len(self.value) < _SHORTEST:
            return text
        return text.replace(self.value, _HIDDEN)


NO_KEY: Final = Key(None, "nowhere: none was named, see --key-env")


def find_key(env: str | None = None, keyring: str | None = None) -> Key:
    """The key in the environment variable ``env``, or in the keyring's entry ``service/user``."""
    if env is not None:
        return _checked(os.environ.get(env), f"the environment variable {env}", f"export {env}=…")
    if keyring is not None:
        service, _, user = keyring.partition("/")
        if not service or not user:
            raise EINVAL("an entry of the keyring is named service/user", hint="such as openai/me")
        return _checked(
            _from_keyring(service, user),
            f"the keyring's entry {keyring}",
            f"keyring set {service} {user}",
        )
    return NO_KEY


def _checked(found: str | None, source: str, remedy: str) -> Key:
    value = (found or "").strip()
    if not value:
        raise EAUTH(f"there is no key in {source}", hint=remedy)
    if not (value.isascii() and value.isprintable()):
        raise EAUTH(f"what is in {source} can't be a key", hint="it must be plain ASCII text")
    return Key(value, source)


def _from_keyring(service: str, user: str) -> str | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise ENOSYS(
            "keys can't be read from the keyring without the package 'keyring'",
            hint='install it: pip install "llmagentos[cloud]"',
        ) from None
    try:
        return keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise EAUTH(
            f"the keyring can't be read: {type(error).__name__}",
            hint="unlock it, or name a variable in --key-env",
        ) from None
