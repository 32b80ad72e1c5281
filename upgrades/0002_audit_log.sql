-- What was asked on behalf of the house: who, what, when, from where, and what he was answered. A command's row is
-- written in the transaction of its batch, or beside what is no command, such as clock.confirm (docs/schema.md).
-- `at`: the time of the books. `actor`: the `sub` of his token, 0 at the command line. `subject`: what the request
-- named. `outcome`: 'accepted', or the code of the refusal. No part of the chain: it says who, the chain says what.
CREATE TABLE audit_log (
    id             INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    actor          INTEGER NOT NULL CHECK (actor >= 0),
    role           TEXT NOT NULL CHECK (role >= ' '),
    address        TEXT NOT NULL,
    door           TEXT NOT NULL CONSTRAINT known_door CHECK (door = 'ws' OR door = 'http' OR door = 'cli'),
    action         TEXT NOT NULL CHECK (action >= ' '),
    subject        TEXT NOT NULL CONSTRAINT subject_is_an_object CHECK (json_type(subject) = 'object'),
    key            TEXT CHECK (key >= ' '),
    outcome        TEXT NOT NULL CONSTRAINT known_form_of_outcome CHECK (
                       outcome = 'accepted' OR outcome GLOB '[A-Z]*'),
    transaction_id INTEGER,
    CONSTRAINT a_refusal_did_nothing CHECK (transaction_id IS NULL OR outcome = 'accepted')
) STRICT;

CREATE INDEX audit_log_of_actor ON audit_log (actor);
CREATE UNIQUE INDEX one_deed_of_a_transaction ON audit_log (transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TRIGGER audit_log_is_never_updated BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_is_never_deleted BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
-- Without a gap: where a row is missing, it shows.
CREATE TRIGGER audit_log_only_grows BEFORE INSERT ON audit_log
WHEN NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM audit_log)
BEGIN SELECT RAISE(ABORT, 'audit_log: a deed has the number after the newest one'); END;
-- What moved something is written in the batch that moved it, once.
CREATE TRIGGER audit_log_names_what_was_done BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE transaction_id = NEW.transaction_id)
  OR (NEW.transaction_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS done
    WHERE done.id = NEW.transaction_id AND done.block_id = open_batch.id AND done.key = NEW.key))
BEGIN SELECT RAISE(ABORT, 'audit_log: the transaction of a deed is one of the open batch, under its key, once'); END;
