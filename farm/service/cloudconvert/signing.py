"""The secret of a key: it signs the notices of single jobs, and addresses that create jobs."""

import hashlib
import hmac

from farm.service.service import Service

SIGNED_PATH = "/signed/"


def signing_secret(service: Service, key_id: str) -> str:
    """A secret of the key's holder and the service, the same as long as its signing key is."""
    return service.signer.sign("signing-secret", key_id)


def signed_base(origin: str, key_id: str) -> str:
    """What addresses begin with that create jobs without an API key."""
    return f"{origin}{SIGNED_PATH}{key_id}"


def signature_of(content: bytes, secret: str) -> str:
    """HMAC-SHA256 in hexadecimal, as the API signs all."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
