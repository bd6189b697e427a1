-- name: digest_entries
-- Journal entries of each bucket, however ordered, as sums of two hashes: all, those older than an id, and a replay's
-- own with the closings that followed them.
SELECT bucket, count(*) AS rows, sum(a)::text AS a, sum(b)::text AS b,
       count(*) FILTER (WHERE is_kept) AS kept_rows, coalesce(sum(a) FILTER (WHERE is_kept), 0)::text AS kept_a,
       coalesce(sum(b) FILTER (WHERE is_kept), 0)::text AS kept_b,
       count(*) FILTER (WHERE is_own) AS own_rows, coalesce(sum(a) FILTER (WHERE is_own), 0)::text AS own_a,
       coalesce(sum(b) FILTER (WHERE is_own), 0)::text AS own_b
  FROM (SELECT bucket, is_kept, is_own, hashtextextended(line, 0) AS a, hashtextextended(line, 1) AS b
          FROM (SELECT bucket, id < $1 AS is_kept,
                       cause = $2 OR kind = 'settlement' AND id >= $1 AND correlation_id IN (
                           SELECT d.correlation_id FROM delivery_result r
                             JOIN delivery d ON d.bucket = r.bucket AND d.id = r.id
                            WHERE r.replay = $3 AND r.replay <> '00000000-0000-0000-0000-000000000000'
                              AND r.result = 'applied') AS is_own,
                       ROW(id, kind, provider, reference, player_id, session_id, provider_round_id, asset, cause,
                           details, occurred_at, recorded_at, correlation_id, trace_id)::text AS line
                  FROM journal_entry) entry) hashed
 GROUP BY bucket ORDER BY bucket;

-- name: digest_postings
-- The same of the postings, by the entries they belong to.
WITH own AS MATERIALIZED (
    SELECT bucket, id FROM journal_entry
     WHERE id >= $1
       AND (cause = $2 OR kind = 'settlement' AND correlation_id IN (
           SELECT d.correlation_id FROM delivery_result r JOIN delivery d ON d.bucket = r.bucket AND d.id = r.id
            WHERE r.replay = $3 AND r.replay <> '00000000-0000-0000-0000-000000000000' AND r.result = 'applied'))
)
SELECT bucket, count(*) AS rows, sum(a)::text AS a, sum(b)::text AS b,
       count(*) FILTER (WHERE is_kept) AS kept_rows, coalesce(sum(a) FILTER (WHERE is_kept), 0)::text AS kept_a,
       coalesce(sum(b) FILTER (WHERE is_kept), 0)::text AS kept_b,
       count(*) FILTER (WHERE is_own) AS own_rows, coalesce(sum(a) FILTER (WHERE is_own), 0)::text AS own_a,
       coalesce(sum(b) FILTER (WHERE is_own), 0)::text AS own_b
  FROM (SELECT bucket, is_kept, is_own, hashtextextended(line, 0) AS a, hashtextextended(line, 1) AS b
          FROM (SELECT bucket, entry_id < $1 AS is_kept, entry_id IN (SELECT id FROM own) AS is_own,
                       ROW(entry_id, seq, kind, owner, asset, fund, session_id, amount, balance_after)::text AS line
                  FROM posting) side) hashed
 GROUP BY bucket ORDER BY bucket;

-- name: load_expected
-- What a replay's plan promised, by asset.
SELECT asset, count(*) AS deliveries, coalesce(sum(moved) FILTER (WHERE moved > 0), 0)::text AS credits,
       coalesce(-sum(moved) FILTER (WHERE moved < 0), 0)::text AS debits
  FROM replay_expectation WHERE replay = $1 GROUP BY asset;

-- name: load_applied
-- What a replay recorded as its effects, by asset.
SELECT asset, count(*) AS deliveries, coalesce(sum(moved) FILTER (WHERE moved > 0), 0)::text AS credits,
       coalesce(-sum(moved) FILTER (WHERE moved < 0), 0)::text AS debits
  FROM delivery_result
 WHERE replay = $1 AND replay <> '00000000-0000-0000-0000-000000000000' AND result = 'applied'
 GROUP BY asset;

-- name: load_moved
-- What the entries of a replay moved in players' wallets, by asset, as the ledger has it.
SELECT p.asset, count(*) AS entries, coalesce(sum(p.amount) FILTER (WHERE p.amount > 0), 0)::text AS credits,
       coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0), 0)::text AS debits
  FROM journal_entry e
  JOIN posting p ON p.bucket = e.bucket AND p.entry_id = e.id AND p.kind = 'player_wallet'
 WHERE e.id >= $1 AND e.cause = $2
 GROUP BY p.asset;

-- name: load_differences
-- Deliveries on which run and plan differ, and why: what somebody else did between the two explains it, or nothing does.
WITH apart AS (
    SELECT coalesce(x.bucket, r.bucket) AS bucket, coalesce(x.id, r.id) AS id, x.id IS NOT NULL AS is_expected,
           coalesce(x.asset, r.asset) AS asset, x.moved AS expected, r.moved
      FROM (SELECT * FROM replay_expectation WHERE replay = $1) x
      FULL JOIN (SELECT * FROM delivery_result
                  WHERE replay = $1 AND replay <> '00000000-0000-0000-0000-000000000000' AND result = 'applied') r
        ON r.bucket = x.bucket AND r.id = x.id
     WHERE x.id IS NULL OR r.id IS NULL OR x.moved <> r.moved
), own AS (
    SELECT d.correlation_id FROM delivery_result r JOIN delivery d ON d.bucket = r.bucket AND d.id = r.id
     WHERE r.replay = $1 AND r.replay <> '00000000-0000-0000-0000-000000000000'
), told AS (
    SELECT a.*, d.provider, d.type, d.reference, d.player_id, n.result, n.code,
           CASE WHEN n.result = 'failed' THEN 'not_decided'
                WHEN n.result = 'repeat' THEN 'decided_elsewhere'
                WHEN f.finished_at >= $3 AND f.detail IS DISTINCT FROM $2 THEN 'processed_elsewhere'
                WHEN EXISTS (
                    SELECT FROM journal_entry e
                     WHERE e.player_id = d.player_id AND e.id >= $4 AND e.recorded_at >= $3
                       AND e.cause <> $2 AND e.kind <> 'settlement') THEN 'player_went_on'
                WHEN EXISTS (
                    SELECT FROM session_event e
                     WHERE e.bucket = get_byte(uuid_send(d.session_id), 15)::smallint
                       AND e.session_id = d.session_id AND e.recorded_at >= $3
                       AND e.correlation_id NOT IN (SELECT correlation_id FROM own)) THEN 'session_went_on'
                ELSE 'unexplained' END AS why
      FROM apart a
      LEFT JOIN delivery d ON d.bucket = a.bucket AND d.id = a.id
      LEFT JOIN delivery_result n ON n.bucket = a.bucket AND n.id = a.id AND n.replay = $1
      LEFT JOIN delivery_result f ON f.bucket = a.bucket AND f.id = a.id
                                 AND f.replay = '00000000-0000-0000-0000-000000000000'
)
SELECT count(*) OVER () AS found, count(*) FILTER (WHERE why = 'unexplained') OVER () AS unexplained,
       count(*) FILTER (WHERE why = 'not_decided') OVER () AS undecided, id, provider, type, reference,
       player_id, asset, expected::text AS expected, moved::text AS moved, result, code, why
  FROM told ORDER BY (why = 'unexplained') DESC, id LIMIT $5;

-- name: load_doubles
-- References of a replay's deliveries under which more than one entry moved money.
WITH told AS MATERIALIZED (
    SELECT DISTINCT d.provider, d.reference
      FROM delivery_result r
      JOIN delivery d ON d.bucket = r.bucket AND d.id = r.id
     WHERE r.replay = $1 AND r.replay <> '00000000-0000-0000-0000-000000000000' AND d.reference IS NOT NULL
)
SELECT count(*) OVER () AS found, e.provider, e.reference, count(*) AS entries
  FROM told
  JOIN journal_entry e ON e.provider = told.provider AND e.reference = told.reference
 WHERE e.kind <> 'settlement'
 GROUP BY e.provider, e.reference
HAVING count(*) > 1
 ORDER BY e.provider, e.reference LIMIT $2;
