"""Sessions that were there before timers get one when the schema is brought forward."""

from datetime import timedelta

from lane_desk import read_rows

from croupier.play.session import FINAL, State
from croupier.play.timeouts import DEFAULT_POLICY
from croupier.runtime import migrations
from croupier.runtime.database import connect_owner
from model.calls import NOW

SESSION = """
INSERT INTO croupier.session (bucket, id, player_id, provider, game_id, asset, state, seq, rounds_open, staked, won,
    contributed, share_posted, revenue_posted, contract_id, share_bps, promo_source, opened_at, expires_at,
    last_activity_at)
VALUES (7, gen_random_uuid(), 'alice', 'acme', 'dice', 'EUR', $1, 1, 0, 0, 0, 0, 0, 0, 'c', 1000, 'operator', $2, $2,
    $2)"""


async def test_every_state_that_is_not_final_is_given_its_built_in_rule(empty_database_url: str) -> None:
    known = migrations.packaged_migrations()
    before = tuple(one for one in known if one.version < 10)
    connection = await connect_owner(empty_database_url)
    try:
        await migrations.apply(connection, migrations=before)
        for state in State:
            await connection.execute(SESSION, state.value, NOW)
        await migrations.apply(connection, migrations=known)
    finally:
        await connection.close()
    timers = await read_rows(empty_database_url, "SELECT * FROM croupier.session_timer")
    assert {row["state"] for row in timers} == {state.value for state in State} - {str(one) for one in FINAL}
    for row in timers:
        rule = DEFAULT_POLICY.rule_of(row["state"])
        assert (row["owner"], row["action"]) == (rule.owner, rule.act)
        assert row["due_at"] == row["claimable_at"] == NOW + timedelta(seconds=rule.after_s)
