-- name: load_totals
-- What every kind of account holds, per bucket and asset.
SELECT bucket, asset, kind, sum(amount)::text AS total, count(*) AS postings
  FROM posting GROUP BY bucket, asset, kind ORDER BY bucket, asset, kind;

-- name: load_marks
-- How far the journal, the references and the histories of each bucket have come.
SELECT m.bucket, coalesce(max(m.entries), 0) AS entries, max(m.last_entry) AS last_entry,
       coalesce(max(m.decided), 0) AS decided, coalesce(max(m.events), 0) AS events
  FROM (SELECT bucket, count(*) AS entries, max(id::text COLLATE "C") AS last_entry, NULL::bigint AS decided,
               NULL::bigint AS events FROM journal_entry GROUP BY bucket
         UNION ALL
        SELECT bucket, NULL, NULL, count(*), NULL FROM money_reference GROUP BY bucket
         UNION ALL
        SELECT bucket, NULL, NULL, NULL, count(*) FROM session_event GROUP BY bucket) m
 GROUP BY m.bucket ORDER BY m.bucket;
