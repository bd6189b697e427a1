-- name: drop_load_facts_without_notices
-- Processes of the version before are gone.
DROP FUNCTION load_facts(smallint[], wallet_key[], owner_key[], nonce_row[], reference_key[], session_key[],
    round_key[], response_key[], token_key[], unseated_key[], boolean);

-- name: drop_write_effects_without_events
-- Processes of the version before are gone.
DROP FUNCTION write_effects(smallint[], reference_row[], reference_row[], rollback_mark[], entry_row[], posting_row[],
    account_row[], session_row[], round_row[], session_key[], event_row[], break_row[], response_row[], token_row[],
    timestamptz);
