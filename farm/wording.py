"""Numbers and foreign texts as people read them, on a terminal as on a page."""


def escaped(text: str, *, keep: str = "") -> str:
    """The text with what cannot be seen escaped, but for the characters to `keep`.

    Names and messages come from untrusted files: control characters, and those that turn the
    direction of what follows, would show something else than what is there.
    """
    if text.isprintable():
        return text
    return "".join(
        one
        if one.isprintable() or one in keep
        else one.encode("unicode_escape", "replace").decode()
        for one in text
    )


def size_text(size_bytes: float) -> str:
    """A number of bytes, with three digits: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:,.1f} TB"
