"""`farm certs`: what a cluster needs to talk to nobody but its own."""

from pathlib import Path
from typing import Annotated

import typer

from farm.cli.screen import say
from farm.errors import UsageError


def make_certificates(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where they are made.")],
    hosts: Annotated[
        str, typer.Option(metavar="NAME,...", help="Names and addresses of the machines.")
    ] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they are valid.")] = 825,
) -> None:
    """Make a private authority, and certificates for a scheduler, its workers and clients.

    The same folder again: new certificates of the same authority.
    """
    try:
        from farm.certs import make_certs
    except ModuleNotFoundError as error:
        raise UsageError(
            f"expected the extra tls: pip install 'thumbfarm[tls]' ({error})"
        ) from None

    folder = folder.absolute()
    names = [each.strip() for each in hosts.split(",") if each.strip()]
    for path in make_certs(folder, hosts=names, days=days):
        say(str(path))
    tls = f"--tls-ca-file {folder}/ca.pem --tls-cert {folder}/%s.pem --tls-key {folder}/%s.key"
    one = "--nworkers 1 --nthreads 1 --memory-limit 0"
    say(f"dask scheduler --protocol tls {tls % (('scheduler',) * 2)}")
    say(f"dask worker tls://HOST:8786 {one} {tls % (('worker',) * 2)}")
    say(f"farm run JOB.yaml --scheduler tls://HOST:8786 --tls {folder}")
