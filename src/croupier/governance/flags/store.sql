-- name: load_rules
-- What is said of every target.
SELECT flag, jurisdiction, game, game_group, provider, share_bps, version, since
  FROM flag_rule ORDER BY flag, provider, game_group, game, jurisdiction;

-- name: insert_rule
-- A target that nobody has said anything of yet; it stays once it is there.
INSERT INTO flag_rule (bucket, flag, jurisdiction, game, game_group, provider, share_bps, version, since)
VALUES ($1, $2, $3, $4, $5, $6, NULL, 0, $7) ON CONFLICT DO NOTHING;

-- name: lock_rule
-- One target, held until the transaction ends.
SELECT flag, jurisdiction, game, game_group, provider, share_bps, version, since
  FROM flag_rule
 WHERE bucket = $1 AND flag = $2 AND jurisdiction = $3 AND game = $4 AND game_group = $5 AND provider = $6 FOR UPDATE;

-- name: write_rule
-- What is said of a target that is held.
UPDATE flag_rule SET share_bps = $7, version = $8, since = $9
 WHERE bucket = $1 AND flag = $2 AND jurisdiction = $3 AND game = $4 AND game_group = $5 AND provider = $6;

-- name: insert_change
-- One line of a target's history.
INSERT INTO flag_change (bucket, flag, jurisdiction, game, game_group, provider, id, version, at, from_bps, to_bps, cause,
    undoes, actor, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: load_changes
-- The newest changes, of all flags, of one flag's, or of a provider's.
SELECT flag, jurisdiction, game, game_group, provider, version, at, from_bps, to_bps, cause, undoes, actor, reason
  FROM flag_change
 WHERE ($1::text IS NULL OR flag = $1) AND ($2::text IS NULL OR provider = $2) ORDER BY id DESC LIMIT $3;

-- name: load_changes_of
-- The newest changes of one target.
SELECT flag, jurisdiction, game, game_group, provider, version, at, from_bps, to_bps, cause, undoes, actor, reason
  FROM flag_change
 WHERE bucket = $1 AND flag = $2 AND jurisdiction = $3 AND game = $4 AND game_group = $5 AND provider = $6
 ORDER BY version DESC LIMIT $7;

-- name: insert_event
-- An event of our own, which belongs to no session.
INSERT INTO outbox_event (bucket, id, type, payload, recorded_at) VALUES ($1, $2, $3, $4, $5);
