"""What speakers of JSON protocols share: bodies, and bodies with a member too many."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from croupier.conformance.reading import Request
from croupier.conformance.speaker import Speaker

_ODD_VALUES: Final[tuple[Any, ...]] = (None, 5, -1, True, "", "\u0000", [], {}, ["x"], {"x": 1}, "x" * 300)
JSON_TYPE: Final = (b"content-type", b"application/json")
_READ: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class JsonSpeaker(Speaker):
    """A protocol whose calls are JSON objects in a POST."""

    def post(self, path: str, document: dict[str, Any]) -> Request:
        """A call to a path below the account's root; members that are None are left out."""
        given = {name: value for name, value in document.items() if value is not None}
        return Request(
            method="POST",
            path=self.account.root + path.encode(),
            headers=(JSON_TYPE,),
            body=self.encode(given),
        )

    def encode(self, document: Any) -> bytes:
        """The document as bytes."""
        return msgspec.json.encode(document)

    def add_member(self, request: Request, name: str, value: str) -> Request:
        """At the end of the object."""
        member = msgspec.json.encode({name: value})[1:]
        return replace(request, body=request.body[:-1] + b"," + member)

    def repeat_member(self, request: Request) -> Request:
        """The first member once more, at the end, with another value."""
        name = request.body[1:].partition(b":")[0]
        return replace(request, body=request.body[:-1] + b"," + name + b':"again"}')

    def distort(self, request: Request) -> tuple[tuple[str, Request], ...]:
        """Each member of the object left out, and with odd values."""
        document = {name: msgspec.Raw(value) for name, value in _READ.decode(request.body).items()}
        found: list[tuple[str, Request]] = []
        for name in document:
            rest = {key: value for key, value in document.items() if key != name}
            found.append((f"{name} left out", replace(request, body=self.encode(rest))))
            for value in _ODD_VALUES:
                odd = self.encode({**document, name: value})
                found.append((f"{name} as {value!r:.20}", replace(request, body=odd)))
        return tuple(found)
