"""The command line: one module per command, which imports what it needs when it is called.

Nothing heavy is imported here, so that help, schemas and plans answer at once.
"""

from typing import Annotated

import typer

from farm.cli.certs import make_certificates
from farm.cli.control import CONTROL_CODES_HELP, pause_run, resume_run, stop_run
from farm.cli.doctor import show_findings
from farm.cli.exit_code import EXIT_CODES_HELP
from farm.cli.gc import clean_up
from farm.cli.ledger import show_ledger
from farm.cli.manifest import list_sources
from farm.cli.plan import show_plan
from farm.cli.report import make_report
from farm.cli.run import run_archive
from farm.cli.samples import make_archive
from farm.cli.schema import show_schema
from farm.cli.screen import say
from farm.cli.serve import keys, serve
from farm.cli.status import STATUS_CODES_HELP, show_status
from farm.cli.thumbnail import make_thumbnails
from farm.cli.verify import VERIFY_CODES_HELP, verify_files
from farm.cli.worker import WORKER_CODES_HELP, work_for_cluster

# Help in plain text and errors in one line: rich's own would double the start-up time.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        import farm

        say(f"thumbfarm {farm.__version__}")
        raise typer.Exit


@app.callback()
def _farm(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Archives of videos and photos in, thumbnails out."""


app.command("run", epilog=EXIT_CODES_HELP)(run_archive)
app.command("thumbnail")(make_thumbnails)
app.command("plan")(show_plan)
app.command("status", epilog=STATUS_CODES_HELP)(show_status)
app.command("stop", epilog=CONTROL_CODES_HELP)(stop_run)
app.command("pause", epilog=CONTROL_CODES_HELP)(pause_run)
app.command("resume", epilog=CONTROL_CODES_HELP)(resume_run)
app.command("ledger")(show_ledger)
app.command("report")(make_report)
app.command("verify", epilog=VERIFY_CODES_HELP)(verify_files)
app.command("gc")(clean_up)
app.command("manifest")(list_sources)
app.command("schema")(show_schema)
app.command("worker", epilog=WORKER_CODES_HELP)(work_for_cluster)
app.command("serve")(serve)
app.add_typer(keys, name="key")
app.command("certs")(make_certificates)
app.command("samples")(make_archive)
app.command("doctor")(show_findings)
