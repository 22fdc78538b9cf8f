"""CloudConvert's API v2 as far as it has to do with thumbnails: what its requests mean."""

from farm.dialects.cloudconvert.formats import INPUT_FORMATS, OUTPUT_FORMATS
from farm.dialects.cloudconvert.graph import (
    OPERATIONS,
    JobRequest,
    TaskRequest,
    is_id,
    parse_job,
    parse_task,
)
from farm.dialects.cloudconvert.naming import numbered, picture_names
from farm.dialects.cloudconvert.request import (
    ExportS3,
    ExportUrl,
    ImportBase64,
    ImportRaw,
    ImportS3,
    ImportUpload,
    ImportUrl,
    Options,
    S3Options,
)
from farm.dialects.cloudconvert.thumbnail import ENGINE_ALIASES, Thumbnail
from farm.dialects.cloudconvert.wording import InvalidRequestError, validate

__all__ = [
    "ENGINE_ALIASES",
    "INPUT_FORMATS",
    "OPERATIONS",
    "OUTPUT_FORMATS",
    "ExportS3",
    "ExportUrl",
    "ImportBase64",
    "ImportRaw",
    "ImportS3",
    "ImportUpload",
    "ImportUrl",
    "InvalidRequestError",
    "JobRequest",
    "Options",
    "S3Options",
    "TaskRequest",
    "Thumbnail",
    "is_id",
    "numbered",
    "parse_job",
    "parse_task",
    "picture_names",
    "validate",
]
