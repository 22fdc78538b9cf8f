"""Places in object stores as callers name them, with the keys that open them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlencode

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from farm.errors import InvalidEntryError
from farm.service.policy import AddressPolicy, is_address
from farm.storage.redaction import redact

DEFAULT_REGION = "us-east-1"

CannedAcl = Literal[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
]

# A header's value: what breaks a line would begin another header.
_Header = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,1024}$")]
_Secret = Annotated[SecretStr, Field(min_length=1, max_length=8192)]
_TAG = r"^[\w +=.:/@-]*$"

_ENDPOINT = re.compile(r"(https?://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[^\s?#@]*)?")
_REGION = re.compile(r"(?:^|[.-])([a-z]{2}(?:-[a-z]+)+(?:-\d+)?)\.")
_AWS_HOST = re.compile(r"s3[a-z0-9.-]*\.amazonaws\.com")
_PLACE = re.compile(r"s3://(?:([^:/@\s]+):([^@\s]+)@)?([^/@\s?#]+)(?:/(.*))?", re.DOTALL)


class S3Place(BaseModel):
    """A bucket of an S3 server, the keys that open it, and how objects are put there.

    The names are those of CloudConvert's `import/s3` and `export/s3`. Neither its text nor any
    error of it shows a key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$")
    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    endpoint: str | None = Field(None, description="URL or host[:port] of the server; default AWS")
    access_key_id: _Secret
    secret_access_key: _Secret
    session_token: _Secret | None = None
    acl: CannedAcl | None = None
    cache_control: _Header | None = None
    metadata: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")], _Header] = Field(
        default_factory=dict, max_length=50
    )
    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    storage_class: Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,64}$")] | None = None
    tagging: dict[
        Annotated[str, Field(pattern=_TAG, min_length=1, max_length=128)],
        Annotated[str, Field(pattern=_TAG, max_length=256)],
    ] = Field(default_factory=dict, max_length=10)

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
            raise ValueError("expected a host, host:port or URL of an S3 server")
        return endpoint

    @field_validator("region", "endpoint", mode="before")
    @classmethod
    def _none_for_empty(cls, value: object) -> object:
        return value or None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "S3Place":
        """The place that a request names; raises InvalidEntryError, whose text shows no value."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            told = (f"{'.'.join(map(str, fault['loc']))}: {_words(fault)}" for fault in faults)
            raise InvalidEntryError("; ".join(told)) from None

    def endpoint_url(self, policy: AddressPolicy) -> str | None:
        """Where the server is; by TLS, unless the caller or the policy says otherwise."""
        found = _ENDPOINT.fullmatch(self.endpoint or "")
        if self.endpoint is None or found is None or found[1]:
            return self.endpoint
        port = int(found[3][1:]) if found[3] else None
        plain = policy.speaks_plain_http(found[2].strip("[]"), port)
        return f"{'http' if plain else 'https'}://{self.endpoint}"

    def put_options(self) -> dict[str, Any]:
        """How objects are put, in the words of S3's API."""
        options = {
            # What is private needs no word, and buckets without ACLs refuse the word.
            "ACL": None if self.acl == "private" else self.acl,
            "CacheControl": self.cache_control,
            "Metadata": self.metadata,
            "ServerSideEncryption": self.server_side_encryption,
            "StorageClass": self.storage_class,
            "Tagging": urlencode(self.tagging),
        }
        return {name: value for name, value in options.items() if value}


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object of a place, or with an empty key or one that ends in a slash, a folder."""

    place: S3Place
    key: str


def parse_qencode_place(
    url: str,
    *,
    is_source: bool,
    key: str | None = None,
    secret: str | None = None,
    permissions: str | None = None,
    **options: Any,
) -> S3Object:
    """The place behind a URL of Qencode's API and the fields beside it.

    `s3://HOST[:PORT]/BUCKET/PATH` with or without `KEY:SECRET@` in front, or in a source
    `s3://KEY:SECRET@BUCKET/PATH`, which a port or an address behind the keys rules out. Keys in
    the URL may be percent-encoded; paths are taken as they stand. `options` are more fields of
    S3Place. Raises InvalidEntryError, whose text shows no key.
    """
    found = _PLACE.fullmatch(url)
    if found is None:
        raise InvalidEntryError(
            f"expected s3://HOST/BUCKET/PATH or s3://KEY:SECRET@BUCKET/PATH, received "
            f"{redact(url)!r:.200}"
        )
    own_key, own_secret, host, path = found.groups(default="")
    keys = (unquote(own_key), unquote(own_secret)) if own_key else (key or "", secret or "")
    if is_source and own_key and not _is_server(host):
        bucket, endpoint, path = host, None, path
    else:
        bucket, _, path = path.partition("/")
        endpoint = host
    if not bucket or not all(keys):
        missing = "a bucket" if not bucket else "a key and a secret"
        raise InvalidEntryError(f"expected {missing} with {redact(url)!r:.200}")
    fields = {
        "bucket": bucket,
        "access_key_id": keys[0],
        "secret_access_key": keys[1],
        "acl": permissions or None,
        **_server_fields(endpoint),
    }
    return S3Object(S3Place.of(fields | options), path)


def _server_fields(endpoint: str | None) -> dict[str, str | None]:
    """Endpoint and region of a host; AWS goes by the region, as its client then follows moves."""
    host = (endpoint or "").lower()
    region = _REGION.search(host)
    is_aws = _AWS_HOST.fullmatch(host) is not None
    return {"endpoint": None if is_aws else endpoint, "region": region[1] if region else None}


def _is_server(host: str) -> bool:
    """Whether it can be no bucket: those have no port, and are no addresses."""
    name, _, port = host.partition(":")
    return bool(port) or host.startswith("[") or name == "localhost" or is_address(name)


def _words(fault: Any) -> str:
    if fault["type"] == "missing":
        return "required"
    if fault["type"] == "extra_forbidden":
        return f"unknown; allowed: {', '.join(S3Place.model_fields)}"
    return str(fault["msg"]).removeprefix("Value error, ")
