"""The plan of a storm: repeatable, nothing forgotten, and at least one of everything that was asked for."""

from collections import Counter

import msgspec
import pytest

from croupier.sandbox.calls import Seat
from croupier.sandbox.notices import Notice
from croupier.sandbox.plan import MOST_COPIES, NoticeAttack
from croupier.sandbox.storm import MOST_IDS, Delivery, StormOrder, plan_storm

SEAT = Seat("ses_1", "p-1", "dice", "dice", "EUR")
NOTICES = [Notice(f"msg_{number}", "round.completed", b"{}", SEAT) for number in range(200)]
POISON = [Notice("msg_poison", "round.exploded", b"{}")]
EVERYTHING = StormOrder(
    seed=7, duplicate=20, refiled=10, poison=1, **{kind.value: 5 for kind in NoticeAttack}
)


def copies(storm: tuple[Delivery, ...]) -> Counter[str]:
    """How often each webhook id is sent."""
    sent: Counter[str] = Counter()
    for delivery in storm:
        sent[delivery.webhook_id] += delivery.copies
    return sent


def test_the_same_seed_gives_the_same_storm() -> None:
    assert plan_storm(EVERYTHING, NOTICES, POISON) == plan_storm(EVERYTHING, NOTICES, POISON)
    other = msgspec.structs.replace(EVERYTHING, seed=8)
    assert plan_storm(EVERYTHING, NOTICES, POISON) != plan_storm(other, NOTICES, POISON)


def test_a_calm_storm_sends_every_fact_once_in_its_order() -> None:
    storm = plan_storm(StormOrder(in_order=True), NOTICES)
    assert storm == tuple(Delivery(notice, notice.webhook_id) for notice in NOTICES)


def test_the_order_is_another_one_unless_it_is_asked_for() -> None:
    storm = plan_storm(StormOrder(), NOTICES)
    assert storm != plan_storm(StormOrder(in_order=True), NOTICES)
    assert {delivery.notice.webhook_id for delivery in storm} == {notice.webhook_id for notice in NOTICES}


def test_duplicates_have_the_same_id_and_some_copies_come_at_once_and_some_later() -> None:
    storm = plan_storm(StormOrder(duplicate=20), NOTICES)
    repeated = {name: count for name, count in copies(storm).items() if count > 1}
    assert len(repeated) == 40
    assert set(repeated.values()) == set(range(2, MOST_COPIES + 1))
    assert any(delivery.copies > 1 for delivery in storm)
    positions = [at for at, delivery in enumerate(storm) if delivery.webhook_id == max(repeated)]
    assert len(positions) > 1


def test_a_refiled_fact_has_several_ids_and_one_body() -> None:
    storm = plan_storm(StormOrder(refiled=20), NOTICES)
    ids: dict[str, set[str]] = {}
    for delivery in storm:
        ids.setdefault(delivery.notice.webhook_id, set()).add(delivery.webhook_id)
    numbers = {len(names) for names in ids.values()}
    assert max(numbers) == MOST_IDS
    assert sum(len(names) > 1 for names in ids.values()) == 40
    assert all(notice in names for notice, names in ids.items())


def test_poison_is_sent_once_and_left_alone() -> None:
    storm = plan_storm(msgspec.structs.replace(EVERYTHING, duplicate=100, refiled=100), NOTICES, POISON)
    (poison,) = (delivery for delivery in storm if delivery.notice is POISON[0])
    assert poison == Delivery(POISON[0], "msg_poison")


@pytest.mark.parametrize("count", [1, 3, 200])
def test_every_attack_that_is_asked_for_is_planted_however_little_there_is_to_send(count: int) -> None:
    storm = plan_storm(EVERYTHING, NOTICES[:count])
    planted = Counter(kind for delivery in storm for kind in delivery.planted)
    assert set(planted) == set(NoticeAttack)
    assert set(planted.values()) == {-(-count * 5 // 100)}


def test_a_rate_of_nothing_plants_nothing_and_nothing_to_send_is_no_trouble() -> None:
    only = StormOrder(webhook_stale=100)
    assert {kind for delivery in plan_storm(only, NOTICES) for kind in delivery.planted} == {
        NoticeAttack.STALE
    }
    assert plan_storm(EVERYTHING, ()) == ()
