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
