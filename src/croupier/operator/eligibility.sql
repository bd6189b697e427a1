-- name: keep_refusal
-- Keeps a decision against a player; what was granted is written with the session it opened.
SELECT write_openings(
    ARRAY[ROW($1::smallint, $2::uuid, $3::text, NULL, $4::timestamptz, NULL, false, $5::text, $6::text, $7::text,
              $8::text)::ruling_row],
    '{}');
