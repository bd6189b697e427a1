-- name: keep_ruling
-- Keeps a decision by itself; the one that a session was opened on is written with the session.
SELECT write_openings(
    ARRAY[ROW($1::smallint, $2::uuid, $3::text, $4::uuid, $5::timestamptz, $6::timestamptz, $7::boolean, $8::text,
              $9::text, $10::text, $11::text)::ruling_row],
    '{}');
