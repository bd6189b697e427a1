-- name: purge_nonces
-- Forget nonces that can no longer be replayed, a bounded number at a time.
DELETE FROM nonce n
 USING (SELECT bucket, key_id, nonce FROM nonce WHERE expires_at < $1 ORDER BY expires_at LIMIT $2) o
 WHERE n.bucket = o.bucket AND n.key_id = o.key_id AND n.nonce = o.nonce;

-- name: purge_answers
-- Forget operator answers whose Idempotency-Key has expired, a bounded number at a time.
DELETE FROM idempotency_key i
 USING (SELECT bucket, api_key_id, key FROM idempotency_key WHERE expires_at < $1 ORDER BY expires_at LIMIT $2) o
 WHERE i.bucket = o.bucket AND i.api_key_id = o.api_key_id AND i.key = o.key;

-- name: tokens_of_ended_sessions
-- A page of the tokens issued before $1, oldest first, and which of them are of a session that rests since before $1.
SELECT t.bucket, t.token_hash, t.issued_at AS at,
       s.state = ANY($6::text[]) AND s.last_activity_at < $1 AS is_spent
  FROM (SELECT bucket, token_hash, session_id, issued_at FROM session_token
         WHERE issued_at < $1 AND (issued_at, bucket, token_hash) > ($2::timestamptz, $3::smallint, $4::text)
         ORDER BY issued_at, bucket, token_hash LIMIT $5) t
  LEFT JOIN session s ON s.bucket = t.bucket AND s.id = t.session_id
 ORDER BY t.issued_at, t.bucket, t.token_hash;

-- name: replaced_tokens
-- A page of the tokens replaced before $1, oldest first, and which of them no open round may still be settled under.
SELECT t.bucket, t.token_hash, t.replaced_at AS at,
       s.rounds_open = 0 AS is_spent
  FROM (SELECT bucket, token_hash, session_id, replaced_at FROM session_token
         WHERE replaced_at < $1 AND (replaced_at, bucket, token_hash) > ($2::timestamptz, $3::smallint, $4::text)
         ORDER BY replaced_at, bucket, token_hash LIMIT $5) t
  LEFT JOIN session s ON s.bucket = t.bucket AND s.id = t.session_id
 ORDER BY t.replaced_at, t.bucket, t.token_hash;

-- name: delete_tokens
-- Forget these tokens.
DELETE FROM session_token t USING unnest($1::smallint[], $2::text[]) AS o (bucket, token_hash)
 WHERE t.bucket = o.bucket AND t.token_hash = o.token_hash;

-- name: rounds_paid_without_bet
-- Rounds whose win came first and whose bet did not come by its deadline, unless their break is open already.
SELECT r.bucket, r.session_id, r.provider_round_id, r.won::text AS won, s.provider, s.player_id, s.asset
  FROM round r JOIN session s ON s.bucket = r.bucket AND s.id = r.session_id
 WHERE r.bet_due_at < $1
   AND NOT EXISTS (SELECT 1 FROM break_item b
                    WHERE b.bucket = r.bucket AND b.provider = s.provider AND b.kind = 'win_without_bet'
                      AND b.subject = r.session_id::text || ':' || r.provider_round_id)
 ORDER BY r.bet_due_at LIMIT $2;
