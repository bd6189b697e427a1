"""What a failed transaction means, by SQLSTATE: who decides again, who reconnects, who stands alone."""

import asyncpg
import pytest

from croupier.moneypath.faults import Fault, classify


class SaidSo(asyncpg.PostgresError):
    """An error of the server with a state of the test's."""


def said(state: str) -> SaidSo:
    error = SaidSo("the server said so")
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("CR001", Fault.RACE),
        ("40001", Fault.RACE),
        ("40P01", Fault.RACE),
        ("23505", Fault.RACE),
        ("55P03", Fault.BUSY),
        ("57014", Fault.BUSY),
        ("57P01", Fault.LOST),
        ("08006", Fault.LOST),
        ("28P01", Fault.LOST),
        ("3D000", Fault.LOST),
        ("53300", Fault.LOST),
        ("58030", Fault.LOST),
        ("25006", Fault.LOST),
        ("25P03", Fault.LOST),
        ("22P02", Fault.ITEM),
        ("23514", Fault.ITEM),
        ("CR004", Fault.ITEM),
    ],
)
def test_a_state_has_one_meaning(state: str, fault: Fault) -> None:
    assert classify(said(state)) is fault


@pytest.mark.parametrize(
    "error",
    [
        OSError(),
        TimeoutError(),
        ConnectionResetError(),
        asyncpg.InterfaceError("x"),
        asyncpg.InternalClientError(),
    ],
)
def test_whoever_is_not_reached_may_have_committed(error: BaseException) -> None:
    assert classify(error) is Fault.LOST


def test_a_fault_of_ours_belongs_to_a_call() -> None:
    assert classify(ValueError("a bug")) is Fault.ITEM
