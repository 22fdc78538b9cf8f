"""What people read: text on the terminal, with nothing in it that a file could play tricks with."""

from decimal import Decimal

import typer

from farm.wording import escaped


def say(text: str, *, to_stderr: bool = False) -> None:
    """Prints a line or several; see `printable`."""
    typer.echo(printable(text), err=to_stderr)


def printable(text: str) -> str:
    """The text as a terminal may have it, its lines apart."""
    return escaped(text, keep="\n")


def duration_text(seconds: float) -> str:
    """A time for people: `3.2 s`, `4:05` or `1:04:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def money_text(amount: float, currency: str) -> str:
    """An amount for people, three digits of it where it is less than one: `12.50 EUR`."""
    small = f"{Decimal(f'{amount:.3g}'):f}"
    number = f"{amount:,.2f}" if amount >= 1 or not amount else small
    return f"{number} {currency}".rstrip()
