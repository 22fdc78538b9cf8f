"""What each operation takes, as models that keep what they do not know."""

import base64
import binascii
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from farm.dialects.cloudconvert.wording import InvalidRequestError

_MOST_SECONDS = 7 * 86_400


def _mapping(value: object) -> object:
    """PHP writes an empty mapping as an empty list."""
    return {} if value == [] else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Words = Annotated[dict[str, str], BeforeValidator(_mapping)]
Inputs = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=255)]],
    BeforeValidator(_listed),
    Field(min_length=1, max_length=1000, description="ids of tasks, or names within a job"),
]
Name = Annotated[str, Field(min_length=1, max_length=1024)]
Text = Annotated[str, Field(min_length=1, max_length=8192)]


class Options(BaseModel):
    """What every operation takes. Unknown options are kept, and null is as good as absent."""

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, coerce_numbers_to_str=True
    )

    secrets: ClassVar[frozenset[str]] = frozenset()
    """The fields that nobody may read again."""

    timeout: int | None = Field(
        None, ge=1, le=_MOST_SECONDS, description="seconds after which the task fails"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: object) -> object:
        if isinstance(fields, dict):
            return {name: value for name, value in fields.items() if value is not None}
        return fields


class ImportUrl(Options):
    """Fetches a file from the web."""

    secrets = frozenset({"url", "headers"})

    url: Text
    filename: Name | None = Field(None, description="default: what the URL or its server says")
    headers: Words = Field({}, description="headers of the request for the file")


class ImportUpload(Options):
    """Waits for a file that is posted to the form in the result."""

    redirect: Text | None = Field(None, description="where to go behind the upload")

    @field_validator("redirect")
    @classmethod
    def _is_web(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s\x00-\x1f]+", url):
            raise ValueError("The redirect must be a valid URL.")
        return url


class ImportBase64(Options):
    """Takes a small file out of the request."""

    secrets = frozenset({"file"})

    file: str = Field(description="base64")
    filename: Name

    def content(self) -> bytes:
        """The file; raises InvalidRequestError."""
        try:
            text = re.sub(r"\A\s*data:[^,]{0,200};base64,", "", self.file)
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequestError({"file": ["The file must be base64."]}) from None


class ImportRaw(Options):
    """Takes a small text out of the request."""

    secrets = frozenset({"file"})

    file: str
    filename: Name

    def content(self) -> bytes:
        """The file in UTF-8."""
        return self.file.encode("utf-8", "replace")


class S3Options(Options):
    """Where a bucket is, and who may use it."""

    secrets = frozenset({"access_key_id", "secret_access_key", "session_token"})

    bucket: Name
    region: Name
    endpoint: Text | None = None
    key: Name | None = None
    key_prefix: Name | None = None
    access_key_id: Text
    secret_access_key: Text
    session_token: Text | None = None


class ImportS3(S3Options):
    """Gets a file from a bucket, or all whose keys begin with `key_prefix`."""

    filename: Name | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.key is None) == (self.key_prefix is None):
            raise ValueError("key: Exactly one of key and key_prefix is required.")
        return self


class ExportUrl(Options):
    """Gives its inputs' files by URLs."""

    input: Inputs
    inline: bool = Field(False, description="to be shown in a browser, not saved")
    archive_multiple_files: bool = Field(False, description="several files become one ZIP")


class ExportS3(S3Options):
    """Puts its inputs' files into a bucket."""

    input: Inputs
    acl: (
        Literal[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
        ]
        | None
    ) = None
    cache_control: Name | None = None
    content_type: Name | None = None
    metadata: Words = {}
    server_side_encryption: Literal["AES256", "aws:kms"] | None = None
    tagging: Words = {}
