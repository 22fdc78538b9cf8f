"""Hides the secrets of URIs, for messages, logs and ledgers."""

import re
from urllib.parse import unquote

# A password may hold an unescaped "/" and then reaches past what a URI calls its authority; a port
# does not start one.
_PASSWORD = re.compile(r"(://[^/?#\s@:]*):(?:[^/?#\s]*|(?!\d+[/?#])[^\s@]*)@")
_PARAMETER = re.compile(r"([?&;#])([\w.%~-]+)=([^&;#\s'\"<>]*)")
_SECRET_NAME = re.compile(
    r"x-(amz|goog|ms|oss|cos)-.*"
    r"|.*(sig|signature|token|secret|passw(or)?d|pwd|key|key-?id|auth(orization)?|credentials?|policy"
    r"|accessid)",
    re.IGNORECASE,
)
_HIDDEN = "***"


def redact(text: str) -> str:
    """The URI, or a text with URIs in it, without passwords, keys and signatures."""
    return _PARAMETER.sub(_hide, _PASSWORD.sub(rf"\1:{_HIDDEN}@", text))


def _hide(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    secret = _SECRET_NAME.fullmatch(unquote(name))
    return f"{mark}{name}={_HIDDEN if secret else value}"
