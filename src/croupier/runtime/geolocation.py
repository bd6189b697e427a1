"""Where addresses are: a MaxMind DB file, read as it is and opened anew when it is replaced."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from typing import Any, Final

import structlog

from croupier.play.eligibility import Located

_log = structlog.get_logger("croupier.geo")

LOOK_EVERY_S: Final = 30.0
"""How often the file is looked at."""
MOST_SUBDIVISIONS: Final = 8


class GeoUnusable(Exception):
    """The file cannot be used; `fix` says what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


class GeoFile:
    """A location database with countries, and perhaps subdivisions, in the layout of GeoIP2 and its relatives."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises GeoUnusable."""
        self._path = path
        self._reader, self._stamp = _open(path)
        self._looked_at_s = time.monotonic()

    def locate(self, text: str) -> Located:
        """Where an IPv4 or IPv6 address is; nowhere for one that the database does not know."""
        self._follow()
        try:
            found = self._reader.get(ipaddress.ip_address(text))
        except (ValueError, RuntimeError) as error:
            # An IPv6 address in a database of IPv4, or a record that cannot be read: not known, and so not allowed.
            _log.warning("location_not_found", path=str(self._path), error=str(error).replace(text, "…"))
            return Located(None)
        if not isinstance(found, dict):
            return Located(None)
        parts = found.get("subdivisions")
        codes = [_code(part) for part in parts[:MOST_SUBDIVISIONS]] if isinstance(parts, list) else []
        return Located(_code(found.get("country")), tuple(code for code in codes if code is not None))

    def _follow(self) -> None:
        """Go on with a newer file, or with the one there is while the newer cannot be used."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < LOOK_EVERY_S:
            return
        self._looked_at_s = now_s
        try:
            if _stamp_of(self._path) == self._stamp:
                return
            before = self._reader
            self._reader, self._stamp = _open(self._path)
            before.close()
        except (OSError, GeoUnusable) as error:
            _log.warning("location_database_kept", path=str(self._path), error=str(error))

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()


def open_places(database: str | None) -> GeoFile | None:
    """The configured location database, None without one. Raises GeoUnusable."""
    return None if database is None else GeoFile(Path(database))


def _code(part: object) -> str | None:
    code = part.get("iso_code") if isinstance(part, dict) else None
    return code if isinstance(code, str) else None


def _stamp_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _open(path: Path) -> tuple[Any, tuple[int, int, int]]:
    try:
        import maxminddb
    except ImportError:
        raise GeoUnusable(
            "the location database needs the extra geo", "pip install 'croupier[geo]'"
        ) from None
    try:
        stamp = _stamp_of(path)
        # Copied into memory: a file that is overwritten in place would be read half old and half new.
        return maxminddb.open_database(path, maxminddb.MODE_MEMORY), stamp
    except OSError as error:
        raise GeoUnusable(
            f"{path} cannot be read: {error.strerror}", "put the database there, or name another"
        ) from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise GeoUnusable(f"{path} is not a MaxMind DB file", "download it anew") from None
