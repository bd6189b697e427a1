"""`croupier provider new`: a fresh adapter that works at once, to be changed into a real protocol."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Annotated, Final

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from croupier.cli.output import CommandFailed, output_of
from croupier.providers import adapters
from croupier.providers.schema_baseline import ADAPTERS_FOLDER, SCHEMAS, write_baseline
from croupier.providers.wire_schemas import render_schemas

LONGEST_NAME: Final = 24
VERSION: Final = 1

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_VERSION: Final = re.compile(r".*_v[0-9]+")
_SUFFIX: Final = ".jinja"
_FOLDER: Final = "adapter/"
_SPEAKER: Final = "speaker.py.jinja"
_TEST: Final = "test.py.jinja"


def parse_name(text: str) -> str:
    """A protocol's name as a folder can be called; typer.BadParameter says what it looks like."""
    if len(text) > LONGEST_NAME or _NAME.fullmatch(text) is None:
        raise typer.BadParameter(
            f"a name is a-z, 0-9 and single _ between, begins with a letter, and has at most {LONGEST_NAME} characters"
        )
    if _VERSION.fullmatch(text) is not None:
        raise typer.BadParameter(
            f"leave the version out: the folder will be {text.rpartition('_v')[0]}_v{VERSION}"
        )
    return text


Name = Annotated[
    str, typer.Argument(parser=parse_name, metavar="NAME", help="What the protocol is called, such as acme.")
]
Into = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        writable=True,
        help="Folder of adapters; default: the installed package's.",
    ),
]


def new(ctx: typer.Context, name: Name, into: Into = None) -> None:
    """Write an adapter that answers signed calls at once: change it into the protocol, file by file.

    Its speaker for the conformance kit and its test are written too where their folders are beside the adapters.
    Nothing that exists is overwritten. What to do next: docs/how-to/add-a-provider.md.

    Examples:

      croupier provider new acme

      croupier provider new acme --into src/croupier/providers/adapters --json
    """
    written = write_adapter(name, (into or ADAPTERS_FOLDER).resolve())
    output = output_of(ctx)
    if output.is_json:
        output.document(
            "provider.new", {"adapter": adapter_id(name), "files": [str(path) for path in written]}
        )
        return
    for path in written:
        output.say(str(path))
    output.say(f"{adapter_id(name)} works; next: its NOTES.md, then docs/how-to/add-a-provider.md")


def adapter_id(name: str) -> str:
    """What the adapter is called in folders and configurations."""
    return f"{name}_v{VERSION}"


def write_adapter(name: str, into: Path) -> tuple[Path, ...]:
    """Write every file; the files, sorted. Raises CommandFailed when one is there already, and writes none then."""
    files = render_files(name, into)
    there = next((path for path in (into / adapter_id(name), *files) if path.exists()), None)
    if there is not None:
        raise CommandFailed(f"{there} exists; nothing was written: take another name, or remove it")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        schemas = _write_schemas(adapter_id(name), into)
    except OSError as error:
        raise CommandFailed(f"{error.filename}: {error.strerror}") from error
    return tuple(sorted((*files, *schemas)))


def render_files(name: str, into: Path) -> Mapping[Path, str]:
    """The text of every file but the schemas, by its path. Speaker and test: only where there is a place for them."""
    environment = Environment(
        loader=PackageLoader("croupier.providers", "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(),
        keep_trailing_newline=True,
    )
    places = {
        template: into / adapter_id(name) / template.removeprefix(_FOLDER).removesuffix(_SUFFIX)
        for template in environment.list_templates()
        if template.startswith(_FOLDER)
    }
    places |= _places_beside(name, into)
    words = _words(name)
    return {path: environment.get_template(template).render(words) for template, path in places.items()}


def _places_beside(name: str, into: Path) -> dict[str, Path]:
    package = into.parent.parent
    speakers, tests = (
        package / "conformance" / "speakers",
        package.parent.parent / "tests" / "unit" / "adapters",
    )
    places = {}
    if speakers.is_dir():
        places[_SPEAKER] = speakers / f"{adapter_id(name)}.py"
    if tests.is_dir():
        places[_TEST] = tests / f"test_{adapter_id(name)}.py"
    return places


def _words(name: str) -> Mapping[str, str]:
    parts = [part.capitalize() for part in name.split("_")]
    joined = "".join(parts)
    return {
        "name": name,
        "id": adapter_id(name),
        "title": " ".join(parts),
        "class_name": f"{joined}V{VERSION}",
        "speaker_name": f"{joined}Speaker",
    }


def _write_schemas(adapter: str, into: Path) -> tuple[Path, ...]:
    """The schemas of the structs that were just written, and the baseline that later changes are held against."""
    folder = into / adapter
    with _importable(into, adapter):
        texts = render_schemas(adapter)
    (folder / SCHEMAS).mkdir(exist_ok=True)
    for file, text in texts.items():
        (folder / SCHEMAS / file).write_text(text, encoding="utf-8")
    write_baseline(folder)
    return tuple(path for path in folder.rglob("*.json") if path.parent.name != "fixtures")


@contextmanager
def _importable(into: Path, adapter: str) -> Iterator[None]:
    """While the block runs, the adapter can be imported from whatever folder it is in."""
    adapters.__path__.append(str(into))
    invalidate_caches()
    module = f"{adapters.__name__}.{adapter}"
    try:
        import_module(module)
        yield
    finally:
        adapters.__path__.remove(str(into))
        for known in [one for one in sys.modules if one == module or one.startswith(f"{module}.")]:
            del sys.modules[known]
