-- name: add_tally
-- One day's counts, added to what is there.
INSERT INTO shadow_tally AS t (bucket, provider, candidate, digest, day, same, different, refused, failed, hung, skipped,
    dropped, first_at, last_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
ON CONFLICT (bucket, provider, candidate, digest, day) DO UPDATE
   SET same = t.same + excluded.same, different = t.different + excluded.different,
       refused = t.refused + excluded.refused, failed = t.failed + excluded.failed, hung = t.hung + excluded.hung,
       skipped = t.skipped + excluded.skipped, dropped = t.dropped + excluded.dropped,
       first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at);

-- name: add_difference
-- One kind of difference, added to what is there; of the examples the first ones stay.
INSERT INTO shadow_difference AS d (bucket, provider, candidate, digest, operation, path, live_class, candidate_class,
    count, first_at, last_at, examples)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (bucket, provider, candidate, digest, operation, path, live_class, candidate_class) DO UPDATE
   SET count = d.count + excluded.count, first_at = least(d.first_at, excluded.first_at),
       last_at = greatest(d.last_at, excluded.last_at),
       examples = (SELECT jsonb_agg(first.one ORDER BY first.place)
                     FROM (SELECT one, place
                             FROM jsonb_array_elements(d.examples || excluded.examples) WITH ORDINALITY AS e (one, place)
                            ORDER BY place LIMIT $13) AS first);

-- name: load_tallies
-- A comparison's counts, day by day.
SELECT day, same, different, refused, failed, hung, skipped, dropped, first_at, last_at
  FROM shadow_tally WHERE bucket = $1 AND provider = $2 AND candidate = $3 AND digest = $4 ORDER BY day;

-- name: load_differences
-- A comparison's kinds of differences, the most frequent first.
SELECT operation, path, live_class, candidate_class, count, first_at, last_at, examples
  FROM shadow_difference WHERE bucket = $1 AND provider = $2 AND candidate = $3 AND digest = $4
 ORDER BY count DESC, operation, path, live_class, candidate_class;

-- name: load_kinds
-- The kinds of differences that a comparison has found.
SELECT operation, path, live_class, candidate_class
  FROM shadow_difference WHERE bucket = $1 AND provider = $2 AND candidate = $3 AND digest = $4;
