"""`croupier wallet contract`: the machine-readable half of the wallet contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from croupier.cli.output import CommandFailed, Output, output_of
from croupier.operator.wallet.contract import contract_files, read_examples, render_openapi


def contract(
    ctx: typer.Context,
    openapi: Annotated[
        bool, typer.Option("--openapi", help="Print the OpenAPI 3.1 document, with every schema inside.")
    ] = False,
    schemas: Annotated[
        Path | None,
        typer.Option("--schemas", metavar="DIR", help="Write schemas, OpenAPI document and examples there."),
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Print an example of every call.")] = False,
) -> None:
    """The contract that an operator's own wallet implements: JSON Schemas, OpenAPI and examples.

    Examples:

      croupier wallet contract --openapi > wallet.openapi.json

      croupier wallet contract --schemas contract/
    """
    if sum((openapi, schemas is not None, examples)) != 1:
        raise typer.BadParameter("give one of --openapi, --schemas and --examples")
    output = output_of(ctx)
    if schemas is not None:
        _write_files(output, schemas)
    elif openapi:
        typer.echo(json.dumps(render_openapi(), indent=2, ensure_ascii=False))
    elif output.is_json:
        output.document("wallet.examples", {"examples": read_examples()})
    else:
        output.say("\n\n".join(_render_example(one) for one in read_examples()))


def _write_files(output: Output, folder: Path) -> None:
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contract_files().items():
            (folder / name).write_bytes(text)
            written.append(str(folder / name))
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written: {error.strerror}") from error
    if output.is_json:
        output.document("wallet.contract", {"files": written})
        return
    for name in written:
        output.say(name)


def _render_example(example: dict[str, Any]) -> str:
    request, reply = (
        json.dumps(example[part], ensure_ascii=False, indent=1) for part in ("request", "reply")
    )
    return f"# {example['name']}\n\nPOST {example['path']}\n{request}\n\n{example['status']}\n{reply}"
