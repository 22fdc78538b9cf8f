"""Names of made files: printf placeholders, counted from 1."""

import re
from collections import Counter
from collections.abc import Sequence

_PLACEHOLDER = re.compile(r"%(0?[1-9]?)d|%%")
_SUFFIX = re.compile(r"(\.[^./\s]{1,20})?$")


def numbered(template: str, count: int) -> list[str]:
    """The names of so many files: `a-%d.png` and `a-%03d.png` have each its number from 1.

    Without a placeholder several files get `-1`, `-2` and so on before their suffix. `%%` is a
    percent sign, as is any other `%`.
    """
    has_number = any(match[1] is not None for match in _PLACEHOLDER.finditer(template))
    if not has_number and count > 1:
        escaped = _SUFFIX.sub("", template, count=1)
        template = f"{escaped}-%d{template[len(escaped) :]}"
    return [_filled(template, number) for number in range(1, count + 1)]


def _filled(template: str, number: int) -> str:
    return _PLACEHOLDER.sub(
        lambda found: "%" if found[1] is None else f"%{found[1]}d" % number, template
    )


def picture_names(template: str | None, *, stems: Sequence[str], extension: str) -> list[str]:
    """The names of pictures, of which each has the stem of the file that it was made of.

    Without a template it is that stem, with numbers where a file has several pictures.
    """
    if template is not None:
        return numbered(template, len(stems))
    each = {
        stem: iter(numbered(f"{stem.replace('%', '%%')}.{extension}", count))
        for stem, count in Counter(stems).items()
    }
    return [next(each[stem]) for stem in stems]
