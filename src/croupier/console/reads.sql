-- name: sessions_by_state
-- How many sessions are in each state.
SELECT state, count(*) AS sessions FROM session GROUP BY state ORDER BY state;

-- name: open_breaks
-- How many breaks wait for a person, by kind, and since when.
SELECT kind, count(*) AS breaks, min(opened_at) AS oldest FROM break_item WHERE resolved_at IS NULL GROUP BY kind ORDER BY kind;

-- name: entries_by_kind
-- How many journal entries of each kind there are.
SELECT kind, count(*) AS entries FROM journal_entry GROUP BY kind ORDER BY kind;

-- name: money_by_account
-- Where the money is: the sum of every account kind, per asset, in minor units.
SELECT asset, kind, sum(amount)::text AS amount FROM posting GROUP BY asset, kind ORDER BY asset, kind;

-- name: keys_in_use
-- The keys that verify or sign, with when they were seen last and whether they should have been replaced.
SELECT k.provider, k.key_id, k.direction, k.state, k.due_at < now() AS is_overdue, u.last_seen_ok,
       coalesce(u.ok, 0) AS ok, coalesce(u.refused, 0) AS refused
  FROM provider_key k LEFT JOIN key_use u ON u.key_id = k.key_id
 WHERE k.state <> 'revoked' ORDER BY k.provider, k.direction, k.published_at;
