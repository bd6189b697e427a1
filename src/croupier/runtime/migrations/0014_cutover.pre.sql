-- name: create_cutover_record
-- What was found or signed before a provider's successor may take players, for one state of its adapter's code.
CREATE TABLE cutover_record (
    bucket  smallint NOT NULL,
    id      uuid NOT NULL,
    subject text COLLATE "C" NOT NULL,
    step    text NOT NULL CHECK (step IN ('contract_suite', 'finance', 'support')),
    digest  text NOT NULL,
    is_good boolean NOT NULL,
    detail  text NOT NULL,
    actor   text NOT NULL CHECK (actor <> ''),
    reason  text NOT NULL CHECK (reason <> ''),
    at      timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
);

-- name: create_cutover_record_newest
-- The newest records of a subject.
CREATE INDEX cutover_record_newest ON cutover_record (bucket, subject, id);

-- name: guard_cutover_record
-- What was signed stays signed; whoever changes their mind says so in a new record.
CREATE TRIGGER cutover_record_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cutover_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_cutover_record
-- Records are only added.
GRANT SELECT, INSERT ON cutover_record TO croupier_app;
