-- name: load_seat
-- Whose session it is: what never changes about one.
SELECT player_id, asset, game_id FROM session WHERE bucket = $1 AND id = $2 AND provider = $3;

-- name: load_seat_of_reference
-- Whose money a decided reference was, the first of several that is known.
SELECT player_id, asset, session_id FROM money_reference
 WHERE provider = $1 AND reference = ANY($2::text[]) AND player_id <> '' AND asset IS NOT NULL
 ORDER BY recorded_at LIMIT 1;
