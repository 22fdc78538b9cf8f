"""Addresses that open one thing for a while, without an API key."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_KEY_BYTES = 32


class Signer:
    """Signs by HMAC-SHA256 with a key that lies in a file, made where there is none."""

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
        self._key = path.read_bytes()
        if len(self._key) < _KEY_BYTES:
            raise ValueError(f"expected at least {_KEY_BYTES} bytes in {path}; remove it")

    def sign(self, *parts: object) -> str:
        """The signature of some facts, in hexadecimal."""
        # Lengths in front, so that no two lists of parts read alike.
        texts = [str(part).encode() for part in parts]
        message = b"".join(b"%d:%s" % (len(text), text) for text in texts)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def is_signed(self, signature: str, *parts: object) -> bool:
        """Whether it is the signature of these facts; takes the same time for any wrong one."""
        return hmac.compare_digest(self.sign(*parts).encode(), signature.encode(errors="replace"))
