"""Commands about all that is known of one customer; see docs/privacy.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from command.app import Panel, command
from command.options import option, settings_of, yes_or_no

Customer = Annotated[
    str, typer.Argument(help="Id, as the shop's files have it.", show_default=False)
]


@command(Panel.CUSTOMERS, "export")
def export(
    customer: Customer,
    to: Annotated[str, option("to", "A new file, mode 0600; empty: print it.")] = "",
) -> None:
    """Print all that is known of a customer, as JSON."""
    from privacy.export import as_text, export_customer, write_export

    settings = settings_of()
    if to:
        count = write_export(settings, customer, Path(to))
        print(f"{count:,} rows in {to}, which only you may read")
    else:
        print(as_text(export_customer(settings, customer)), end="")


@command(Panel.CUSTOMERS, "erase")
def erase(
    customer: Customer,
    why: Annotated[str, typer.Argument(help="Is kept as the proof.", show_default=False)],
    dry: Annotated[str, option("dry", "Count what would go, and stop.", metavar="yes")] = "",
) -> None:
    """Erase a customer for good."""
    import getpass

    from privacy import erasure

    settings = settings_of()
    if yes_or_no("DRY", dry):
        done = erasure.preview(settings, customer, why, is_dry_run=True)
        print("nothing was changed; an erasure would delete or empty:")
    else:
        done = erasure.erase(settings, customer, getpass.getuser(), why)
        print(f"erased; ops.erasures has the proof, {done['keyed_hash']}:")
    for name, count in done["counts"].items():
        print(f"{count:>9,} {name}")
    for question, versions in done["models"].items():
        print(f"had learnt from them, until its next training: {question} {', '.join(versions)}")
