-- Who may log in, and as what. No rule on money looks at these tables, and none of these at money. Secrets are
-- kept as hashes, so that whoever reads the file can act for nobody. docs/people.md tells what each is for.

-- A person who logs in: a player, by the number of his first wallet, or one of the staff.
CREATE TABLE credentials (
    user_id       INTEGER PRIMARY KEY,
    -- Normalised and folded, so that two names which look alike to a keyboard are one.
    username      TEXT NOT NULL CHECK (length(username) BETWEEN 3 AND 64),
    role          TEXT NOT NULL CONSTRAINT known_role_of_a_person CHECK (
                      role = 'player' OR role = 'operator' OR role = 'auditor' OR role = 'admin'),
    -- The parameters and the salt are in the text: a password is hashed anew when these have changed.
    password_hash TEXT NOT NULL CONSTRAINT passwords_are_kept_as_argon2id CHECK (
                      substr(password_hash, 1, 10) = '$argon2id$'),
    created_at    INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL,
    -- Once set, he never logs in again; the row stays, since the audit log knows him by his number.
    removed_at    INTEGER,
    -- One name, one person: else a log-in would have to guess.
    UNIQUE (username),
    -- From 2^50 on: the staff. A number alone tells that its bearer has no wallet.
    CONSTRAINT staff_are_numbered_above_all_wallets CHECK ((role = 'player') = (user_id < 1125899906842624)),
    -- From 2^50 + 2^49 on: service accounts, so that a number is never that of both.
    CONSTRAINT people_are_numbered_below_service_accounts CHECK (
        user_id > 0 AND user_id < 1688849860263936)
-- WITHOUT ROWID: a NULL would be given a number, and 'SET rowid' would change one behind the trigger's back.
) STRICT, WITHOUT ROWID;
CREATE TRIGGER credentials_keep_their_number BEFORE UPDATE OF user_id, role ON credentials
BEGIN SELECT RAISE(ABORT, 'credentials: number and role do not change'); END;
CREATE TRIGGER credentials_are_never_deleted BEFORE DELETE ON credentials
BEGIN SELECT RAISE(ABORT, 'credentials are not deleted: a number would be given twice'); END;
CREATE TRIGGER credentials_stay_removed BEFORE UPDATE ON credentials WHEN OLD.removed_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'credentials: who was removed stays so'); END;

-- One log-in: everything that follows from one password typed once. Its refresh tokens are one family: each
-- takes the place of the one before it, and all end with it. Its number is the sid of its access tokens.
CREATE TABLE logins (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES credentials (user_id),
    began_at   INTEGER NOT NULL,
    -- However often it is refreshed: a stolen token is not good for ever.
    expires_at INTEGER NOT NULL CHECK (expires_at > began_at),
    ended_at   INTEGER,
    why        TEXT CONSTRAINT known_end_of_a_login CHECK (
                   why = 'logout' OR why = 'reused' OR why = 'password' OR why = 'removed'),
    CONSTRAINT an_end_has_a_reason CHECK ((ended_at IS NULL) = (why IS NULL))
) STRICT;
CREATE INDEX logins_of_a_person ON logins (user_id);
CREATE INDEX logins_by_their_last_moment ON logins (expires_at);
CREATE INDEX logins_that_were_ended ON logins (ended_at) WHERE ended_at IS NOT NULL;
CREATE TRIGGER logins_keep_their_terms BEFORE UPDATE OF user_id, began_at, expires_at ON logins
BEGIN SELECT RAISE(ABORT, 'logins: whose it is, and how long, does not change'); END;
CREATE TRIGGER logins_end_once BEFORE UPDATE ON logins WHEN OLD.ended_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'logins: what has ended stays so'); END;

-- One refresh token, by its SHA-256: it has 256 bits of chance, so there is nothing to guess and a slow hash
-- would protect nothing.
CREATE TABLE refresh_tokens (
    hash      BLOB PRIMARY KEY CHECK (length(hash) = 32),
    login_id  INTEGER NOT NULL REFERENCES logins (id),
    issued_at INTEGER NOT NULL,
    used_at   INTEGER,
    -- The hash of the token that took its place. It may be gone, as old ones are; so no key.
    successor BLOB CHECK (length(successor) = 32),
    CONSTRAINT what_is_used_has_a_successor CHECK ((used_at IS NULL) = (successor IS NULL))
) STRICT, WITHOUT ROWID;
-- With its time: the oldest are found without a look at all that a log-in has used.
CREATE INDEX refresh_tokens_of_a_login ON refresh_tokens (login_id, used_at);
-- However many refresh at once, one wins: the database holds no second token that is good.
CREATE UNIQUE INDEX one_good_token_of_a_login ON refresh_tokens (login_id) WHERE used_at IS NULL;
CREATE TRIGGER refresh_tokens_are_used_once BEFORE UPDATE ON refresh_tokens WHEN OLD.used_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'refresh_tokens: used once'); END;

-- A program that acts for the house. Nobody logs in as one: it has keys.
CREATE TABLE service_accounts (
    id         INTEGER PRIMARY KEY CONSTRAINT service_accounts_stand_apart CHECK (
                   id >= 1688849860263936 AND id < 2251799813685248),
    name       TEXT NOT NULL CHECK (length(name) BETWEEN 3 AND 64),
    role       TEXT NOT NULL CONSTRAINT known_role_of_a_program CHECK (
                   role = 'operator' OR role = 'auditor' OR role = 'admin'),
    -- Names with a space between two, of all that the role may do; NULL: all of it.
    scopes     TEXT,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    UNIQUE (name)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER service_accounts_keep_their_number BEFORE UPDATE OF id, role, scopes ON service_accounts
BEGIN SELECT RAISE(ABORT, 'service_accounts: number, role and scopes do not change'); END;
CREATE TRIGGER service_accounts_are_never_deleted BEFORE DELETE ON service_accounts
BEGIN SELECT RAISE(ABORT, 'service_accounts are not deleted: a number would be given twice'); END;
CREATE TRIGGER service_accounts_stay_revoked BEFORE UPDATE ON service_accounts WHEN OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'service_accounts: what was revoked stays so'); END;

-- A key of a service account, by its SHA-256 as above. prefix is how it begins, so that people can tell keys
-- apart that nobody can read any more.
CREATE TABLE service_keys (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES service_accounts (id),
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    prefix     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    UNIQUE (hash)
) STRICT;
CREATE INDEX keys_of_a_service_account ON service_keys (account_id);
CREATE TRIGGER service_keys_stay_revoked BEFORE UPDATE ON service_keys WHEN OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'service_keys: what was revoked stays so'); END;
