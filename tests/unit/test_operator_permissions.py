"""The table of permissions and the routes of the operator API are the same list."""

from __future__ import annotations

from litestar.routes import HTTPRoute

from croupier.operator.app import create_api
from croupier.operator.permissions import PERMISSIONS, PUBLIC, Role


def routes() -> set[tuple[str, str]]:
    """Method and path of everything the application serves; OPTIONS is the framework's own."""
    return {
        (method, route.path_format)
        for route in create_api().routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }


def test_every_route_is_in_the_table_and_every_line_of_it_is_a_route() -> None:
    assert routes() == PERMISSIONS.keys() | PUBLIC


def test_only_documentation_is_public() -> None:
    assert not [path for _, path in PUBLIC if path.startswith("/v1")]
    assert not PERMISSIONS.keys() & PUBLIC


def test_only_operators_and_administrators_change_anything() -> None:
    for (method, path), roles in PERMISSIONS.items():
        if method != "GET":
            assert roles == {Role.OPERATOR, Role.ADMIN}, path


def test_operators_and_administrators_may_do_everything() -> None:
    for route, roles in PERMISSIONS.items():
        assert roles >= {Role.OPERATOR, Role.ADMIN}, route


def test_every_role_may_look_at_something() -> None:
    for role in Role:
        assert any(role in roles for roles in PERMISSIONS.values()), role
