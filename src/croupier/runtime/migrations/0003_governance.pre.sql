-- name: create_audit_record
-- One act of governance: who did what to what, and why. Each row's hash covers the row before it.
CREATE TABLE audit_record (
    seq           bigint NOT NULL PRIMARY KEY,
    at            timestamptz NOT NULL,
    actor         text NOT NULL,
    action        text NOT NULL,
    subject       text NOT NULL,
    reason        text NOT NULL,
    details       jsonb NOT NULL,
    previous_hash text NOT NULL,
    hash          text NOT NULL,
    CONSTRAINT audit_says_why CHECK (reason <> '' AND actor <> '')
);

-- name: create_audit_record_by_subject
-- What happened to one subject, in order.
CREATE INDEX audit_record_by_subject ON audit_record (subject, seq);

-- name: guard_audit_record
-- No record is ever edited.
CREATE TRIGGER audit_record_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: create_provider_key
-- The keys shared with providers and where each stands in its rotation. It names secrets and never holds one.
CREATE TABLE provider_key (
    key_id       text COLLATE "C" NOT NULL PRIMARY KEY,
    provider     text COLLATE "C" NOT NULL,
    direction    text NOT NULL CHECK (direction IN ('inbound', 'outbound', 'both')),
    secret       text NOT NULL CHECK (secret ~ '^(env|file|aws-sm|vault):'),
    state        text NOT NULL CHECK (state IN ('published', 'current', 'retiring', 'revoked')),
    published_at timestamptz NOT NULL,
    promoted_at  timestamptz,
    revoked_at   timestamptz,
    due_at       timestamptz NOT NULL,
    CONSTRAINT current_was_promoted CHECK (state <> 'current' OR promoted_at IS NOT NULL),
    CONSTRAINT revoked_says_when CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))
);

-- name: create_refuse_revival
-- A revoked key stays as it is for ever, for the owner too: its id can never come back.
CREATE FUNCTION refuse_revival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'key % is revoked: % refused; publish another key under another id', OLD.key_id, TG_OP
        USING ERRCODE = 'CR005';
END $$;

-- name: guard_revoked_key
-- Nobody changes a revoked key.
CREATE TRIGGER revoked_key_stays_revoked BEFORE UPDATE ON provider_key
    FOR EACH ROW WHEN (OLD.state = 'revoked') EXECUTE FUNCTION refuse_revival();

-- name: guard_provider_key
-- No key is ever forgotten.
CREATE TRIGGER provider_key_is_kept BEFORE DELETE OR TRUNCATE ON provider_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: create_key_use
-- What running processes tell about each key, added up about once a second: its use, and whether its secret is readable.
CREATE TABLE key_use (
    key_id             text COLLATE "C" NOT NULL PRIMARY KEY,
    last_seen_ok       timestamptz,
    last_seen_refused  timestamptz,
    ok                 bigint NOT NULL DEFAULT 0,
    refused            bigint NOT NULL DEFAULT 0,
    last_loaded        timestamptz,
    last_unusable      timestamptz,
    unusable_because   text
) WITH (fillfactor = 50);

-- name: grant_audit_record
-- The application may add to the audit log and never change it.
GRANT SELECT, INSERT ON audit_record TO croupier_app;

-- name: grant_provider_key
-- A key moves through its states; what it is never changes.
GRANT SELECT, INSERT, UPDATE (state, promoted_at, revoked_at) ON provider_key TO croupier_app;

-- name: grant_key_use
-- Observations are added up in place.
GRANT SELECT, INSERT, UPDATE ON key_use TO croupier_app;
