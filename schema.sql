-- Solid Green: the whole schema. The database enforces the rules of the books, not the program:
-- whoever opens this file with any SQLite shell meets the same triggers and checks as the engine.
-- Money is a count of minor units, time is microseconds since the Unix epoch (UTC), both signed 64-bit.
-- The engine opens the file with foreign_keys=ON and recursive_triggers=ON; the rules that hold without
-- them too say so. `docs/schema.md` lists each rule beside the attack that it stops.
-- Closed lists are spelt with OR, not IN: in a CHECK, SQLite builds the list of an IN anew for each row
-- (docs/adr/0008).

-- A person. His number is that of the first wallet that was opened for him, which is made behind this row: the
-- key is deferred, so that no person is left without a wallet.
CREATE TABLE participants (
    id INTEGER PRIMARY KEY REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT participant_ids_are_those_of_wallets CHECK (id > 0 AND id < 2251799813685248)
-- WITHOUT ROWID: a NULL would be given a number behind the back of the trigger that looks at it.
) STRICT, WITHOUT ROWID;

-- A holder of a balance: a wallet of a player's or one of the house's own books, in one currency. A player's wallet
-- holds his cash; beside it there may be a player_bonus, which is spent through it (see bonuses).
-- balance is a cache of the sum of the holder's ledger entries; last_entry_id is the newest of them.
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    kind          TEXT NOT NULL CONSTRAINT known_kind_of_holder CHECK (
                      kind = 'player' OR kind = 'house' OR kind = 'cash' OR kind = 'fees'
                      OR kind = 'clearing' OR kind = 'suspense' OR kind = 'receivable' OR kind = 'bonus'
                      OR kind = 'player_bonus'),
    currency      TEXT NOT NULL CHECK (length(currency) = 3),
    status        TEXT NOT NULL DEFAULT 'open' CONSTRAINT known_status CHECK (
                      status = 'open' OR status = 'blocked' OR status = 'closed'),
    balance       INTEGER NOT NULL DEFAULT 0,
    held          INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    floor         INTEGER NOT NULL DEFAULT 0 CHECK (floor <= 0),
    version       INTEGER NOT NULL DEFAULT 0 CHECK (version >= 0),
    last_entry_id INTEGER NOT NULL DEFAULT 0,
    -- What a clawback could not take: the receivable book has lent it, and gets it back from later wins.
    owed          INTEGER NOT NULL DEFAULT 0 CHECK (owed >= 0),
    -- 1 once the player has set himself a limit: only then are there rows in `limits`.
    limited       INTEGER NOT NULL DEFAULT 0 CHECK (limited = 0 OR limited = 1),
    -- Whose wallet it is; the house's books are nobody's.
    participant_id INTEGER REFERENCES participants (id),
    -- How many refusals were recorded in one minute of block time: bounds what one user can make us store.
    refused_minute INTEGER NOT NULL DEFAULT 0,
    refused_count  INTEGER NOT NULL DEFAULT 0,
    -- Nobody spends what he does not have or what is set aside.
    CONSTRAINT available_is_not_negative CHECK (balance - held - floor >= 0),
    -- A JSON client reads integers as doubles: beyond 2^53 - 1 it would be shown a wrong balance. Here and below
    -- numbers are compared before texts: a bet changes a balance, and is asked no more.
    CONSTRAINT player_balance_fits_the_wire CHECK (
        balance <= 9007199254740991 OR (kind <> 'player' AND kind <> 'player_bonus')),
    CONSTRAINT player_has_no_overdraft CHECK (floor = 0 OR (kind <> 'player' AND kind <> 'player_bonus')),
    CONSTRAINT only_players_owe_and_hold CHECK (
        (held = 0 AND owed = 0) OR kind = 'player' OR (held = 0 AND kind = 'player_bonus')),
    CONSTRAINT wallets_are_somebodys CHECK (
        (participant_id IS NOT NULL) = (kind = 'player' OR kind = 'player_bonus')),
    -- From 2^51 on: the bonus books, so that they take no number between those of wallets.
    CONSTRAINT bonus_books_stand_apart CHECK (
        (kind = 'bonus') = (id >= 2251799813685248 AND id < 4503599627370496)),
    -- From 2^52 on: the clearing accounts of payouts, which pay out what was paid in.
    CONSTRAINT payout_accounts_clear CHECK (id < 4503599627370496 OR (kind = 'clearing' AND floor = 0)),
    CONSTRAINT user_ids_begin_at_one CHECK (id > 0)
-- WITHOUT ROWID: 'UPDATE users SET rowid = …' would change the id and fire no UPDATE OF id trigger.
) STRICT, WITHOUT ROWID;

-- One house, one cash book … per currency; but every payout has a clearing account of its own, numbered from
-- 2^52 on.
CREATE UNIQUE INDEX one_book_of_a_kind ON users (currency, kind)
WHERE participant_id IS NULL AND id < 4503599627370496;

-- The wallets of a person beside his first one, which has his number.
CREATE INDEX further_wallets ON users (participant_id) WHERE participant_id <> id;

-- The batch that is being written: one row, or none. Its key is deferred: a batch is opened before the block
-- that seals it, and cannot be committed without it. Transactions, entries and bets are taken only while a
-- batch is open, and only from the first numbers on that this row names. So nothing commits unsealed, and
-- what is sealed is out of reach: one look at one row tells (docs/adr/0008). (A deferred key on each entry
-- instead would make SQLite scan the whole ledger at every block, sqlite.org/foreignkeys.html section 3;
-- docs/adr/0002.)
CREATE TABLE open_batch (
    id                   INTEGER PRIMARY KEY REFERENCES blocks (id) DEFERRABLE INITIALLY DEFERRED,
    first_transaction_id INTEGER NOT NULL,
    first_entry_id       INTEGER NOT NULL,
    -- 1: the seal is being checked, and nothing joins the batch any more.
    frozen               INTEGER NOT NULL DEFAULT 0 CHECK (frozen = 0 OR frozen = 1)
) STRICT;

-- One economic event. UNIQUE(scope, key) is what makes a command idempotent for ever; scope 'bet' is shared
-- by all players, so a bet_id can move money once in the life of this file. answer is what was said first.
-- A text >= ' ' is not empty, and begins with no control character.
CREATE TABLE transactions (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL CONSTRAINT known_kind_of_transaction CHECK (
                      kind = 'BET' OR kind = 'WIN' OR kind = 'LOSS' OR kind = 'REFUND' OR kind = 'ROLLBACK'
                      OR kind = 'TOMBSTONE' OR kind = 'UNSETTLE' OR kind = 'CASHOUT' OR kind = 'DEPOSIT'
                      OR kind = 'WITHDRAWAL' OR kind = 'TRANSFER' OR kind = 'HOLD' OR kind = 'CAPTURE'
                      OR kind = 'RELEASE' OR kind = 'EXPIRY' OR kind = 'STATUS' OR kind = 'PAYOUT'
                      OR kind = 'PAYOUT_OPEN' OR kind = 'PAYOUT_ITEMS' OR kind = 'PAYOUT_START'
                      OR kind = 'PAYOUT_ITEM' OR kind = 'LIMIT' OR kind = 'WALLET' OR kind = 'BONUS'
                      OR kind = 'FREE_BET' OR kind = 'REVOKE' OR kind = 'FLOOR'
                      OR kind = 'ARCHIVE' OR kind = 'CARRY'),
    scope       TEXT NOT NULL CHECK (scope >= ' '),
    key         TEXT NOT NULL CHECK (key >= ' '),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    answer      TEXT NOT NULL,
    block_id    INTEGER NOT NULL,
    UNIQUE (scope, key),
    -- The first block counts from 1: a transaction 0 would commit beside it, sealed by nothing.
    CONSTRAINT transaction_ids_begin_at_one CHECK (id > 0),
    -- Under another scope the same bet_id could be paid a second time.
    CONSTRAINT a_bet_is_known_by_its_bet_id CHECK ((kind = 'BET' OR kind = 'TOMBSTONE') = (scope = 'bet'))
) STRICT;

-- One signed posting. prev_id is the holder's entry before this one (0: none): following it from
-- users.last_entry_id reads an account without an index by user, which would scatter every batch over
-- hundreds of pages (docs/adr/0003). user_id and transaction_id need no foreign key: the seal looks the
-- holders up and counts the transactions, and neither can be deleted.
-- Where entries have been archived, what they summed up to is carried: one row for each of their holders, with
-- the id -user_id, so that the sum is his balance still. Its prev_id is the last of them (docs/archive.md).
CREATE TABLE transaction_ledger (
    id             INTEGER PRIMARY KEY,
    user_id        INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    amount         INTEGER NOT NULL CONSTRAINT an_amount_is_no_more_than_the_wire_can_show CHECK (
                      (amount BETWEEN -9007199254740991 AND 9007199254740991 AND amount <> 0) OR id < 0),
    balance_after  INTEGER NOT NULL,
    ref_type       TEXT NOT NULL CONSTRAINT known_ref_type CHECK (
                      ref_type = 'BET' OR ref_type = 'WIN' OR ref_type = 'REFUND' OR ref_type = 'ROLLBACK'
                      OR ref_type = 'UNSETTLE' OR ref_type = 'CASHOUT' OR ref_type = 'DEPOSIT'
                      OR ref_type = 'WITHDRAWAL' OR ref_type = 'TRANSFER' OR ref_type = 'CAPTURE'
                      OR ref_type = 'RECEIVABLE' OR ref_type = 'FEE' OR ref_type = 'TAX'
                      OR ref_type = 'PAYOUT' OR ref_type = 'SUSPENSE' OR ref_type = 'BONUS'
                      OR ref_type = 'EXPIRY' OR (ref_type = 'CARRIED' AND id < 0)),
    ref_id         TEXT NOT NULL CHECK (ref_id >= ' '),
    transaction_id INTEGER NOT NULL,
    block_id       INTEGER NOT NULL,
    prev_id        INTEGER NOT NULL CHECK (prev_id >= 0 AND (prev_id < id OR id < 0))
) STRICT;

-- The state of one bet, keyed by the transaction that placed it; its bet_id is that transaction's key. What
-- became of it was done by last_transaction_id (0: nothing yet), whose answer names the one before.
-- No foreign key: the seal looks the transactions up, whatever the pragma, so that nobody can make up a
-- confirmed bet that moved no money and have it settled.
CREATE TABLE bets (
    transaction_id INTEGER PRIMARY KEY,
    user_id        INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    stake          INTEGER NOT NULL CHECK (stake > 0),
    game           TEXT,
    round          TEXT,
    selection      TEXT,
    odds_milli     INTEGER CHECK (odds_milli >= 1000),
    state          TEXT NOT NULL DEFAULT 'confirmed' CONSTRAINT known_state CHECK (
                      state = 'confirmed' OR state = 'won' OR state = 'lost' OR state = 'void'
                      OR state = 'cashed_out' OR state = 'rolled_back'),
    -- All that was paid for it and not taken back; settled: what its settlement paid of that.
    payout         INTEGER NOT NULL DEFAULT 0,
    settled        INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0 AND settled <= payout),
    cashed_stake   INTEGER NOT NULL DEFAULT 0 CHECK (cashed_stake >= 0 AND cashed_stake <= stake),
    last_transaction_id INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT only_a_settlement_settles CHECK (
        settled = 0 OR state = 'won' OR state = 'lost' OR state = 'void'),
    CONSTRAINT cashed_out_is_all_of_it CHECK ((state = 'cashed_out') = (cashed_stake = stake)),
    CONSTRAINT rolled_back_as_it_was_placed CHECK (
        state <> 'rolled_back' OR (payout = 0 AND cashed_stake = 0))
) STRICT;

-- Money set aside, keyed by the transaction that did it: it is still in the wallet's balance, and counted in
-- users.held while the hold is open. last_transaction_id as in bets. expires_at: 0 if never.
CREATE TABLE holds (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    currency   TEXT NOT NULL,
    purpose    TEXT NOT NULL CHECK (purpose = 'hold' OR purpose = 'withdrawal'),
    amount     INTEGER NOT NULL CHECK (amount > 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0),
    state      TEXT NOT NULL DEFAULT 'open' CONSTRAINT known_state_of_hold CHECK (
                   state = 'open' OR state = 'captured' OR state = 'released' OR state = 'expired'),
    remaining  INTEGER NOT NULL CHECK (remaining >= 0 AND remaining <= amount),
    last_transaction_id INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT open_while_something_is_left CHECK ((state = 'open') = (remaining > 0)),
    CONSTRAINT only_what_has_a_time_expires CHECK (state <> 'expired' OR expires_at > 0)
) STRICT;

CREATE INDEX holds_by_expiry ON holds (expires_at) WHERE state = 'open' AND expires_at > 0;

-- The terms of a bonus wallet: with which wallet it is spent, before or after what is in that one, and until when.
-- All that is in it has the terms of the newest grant. last_transaction_id as in bets. expires_at: 0 if never.
CREATE TABLE bonuses (
    user_id    INTEGER PRIMARY KEY,
    wallet_id  INTEGER NOT NULL,
    spend      TEXT NOT NULL CONSTRAINT known_order_of_spending CHECK (spend = 'first' OR spend = 'last'),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0),
    state      TEXT NOT NULL CONSTRAINT known_state_of_bonus CHECK (state = 'open' OR state = 'expired'),
    last_transaction_id INTEGER NOT NULL,
    UNIQUE (wallet_id),
    CONSTRAINT only_a_bonus_that_has_a_time_expires CHECK (state <> 'expired' OR expires_at > 0)
) STRICT;

CREATE INDEX bonuses_by_expiry ON bonuses (expires_at) WHERE state = 'open' AND expires_at > 0;

-- A bet that a player may place without paying its stake, keyed by the transaction that granted it: the bonus book
-- pays, and he gets what the bet wins beyond its stake. last_transaction_id as in bets. expires_at: 0 if never.
CREATE TABLE free_bets (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    currency   TEXT NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0),
    state      TEXT NOT NULL DEFAULT 'open' CONSTRAINT known_state_of_free_bet CHECK (
                   state = 'open' OR state = 'used' OR state = 'revoked' OR state = 'expired'),
    last_transaction_id INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT only_a_free_bet_that_has_a_time_expires CHECK (state <> 'expired' OR expires_at > 0)
) STRICT;

CREATE INDEX free_bets_by_expiry ON free_bets (expires_at) WHERE state = 'open' AND expires_at > 0;
CREATE INDEX free_bets_of_user ON free_bets (user_id, expires_at = 0, expires_at) WHERE state = 'open';

-- A mass payout, keyed by the transaction that opened it. Its items are paid in their order: those below `done`
-- were, or are in suspense. last_transaction_id as in bets.
CREATE TABLE payouts (
    id        INTEGER PRIMARY KEY,
    caller    TEXT NOT NULL,
    currency  TEXT NOT NULL CHECK (length(currency) = 3),
    state     TEXT NOT NULL DEFAULT 'collecting' CONSTRAINT known_state_of_payout CHECK (
                  state = 'collecting' OR state = 'paying' OR state = 'paid'),
    items     INTEGER NOT NULL DEFAULT 0 CHECK (items >= 0),
    total     INTEGER NOT NULL DEFAULT 0 CHECK (total >= items),
    done      INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0 AND done <= items),
    suspended INTEGER NOT NULL DEFAULT 0 CHECK (suspended >= 0 AND suspended <= done),
    last_transaction_id INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT nothing_is_paid_while_collecting CHECK (state <> 'collecting' OR done = 0),
    CONSTRAINT paid_is_all_of_it CHECK ((state = 'paid') = (done = items AND items > 0))
) STRICT;

CREATE INDEX payouts_under_way ON payouts (id) WHERE state = 'paying';

-- What one winner gets. Never changed: whether it was paid is told by payouts.done and suspended_items.
CREATE TABLE payout_items (
    payout_id INTEGER NOT NULL,
    number    INTEGER NOT NULL CHECK (number >= 0),
    user_id   INTEGER NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (payout_id, number)
) STRICT, WITHOUT ROWID;

-- An item that could not be paid when its turn came. Its money is in the suspense book while it is 'suspended'.
CREATE TABLE suspended_items (
    payout_id INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    state     TEXT NOT NULL DEFAULT 'suspended' CONSTRAINT known_state_of_item CHECK (
                  state = 'suspended' OR state = 'paid' OR state = 'returned'),
    last_transaction_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (payout_id, number)
) STRICT, WITHOUT ROWID;

-- What a player allows himself in a day, a week or a month of UTC, and how much of the running window he has used.
-- amount -1: no limit; pending is the amount from pending_from on (0: nothing is pending). Seconds where kind is
-- 'time', the end of it where kind is 'exclusion', minor units elsewhere.
CREATE TABLE limits (
    user_id      INTEGER NOT NULL,
    kind         TEXT NOT NULL CONSTRAINT known_kind_of_limit CHECK (
                     kind = 'stake' OR kind = 'loss' OR kind = 'deposit' OR kind = 'time' OR kind = 'exclusion'),
    period       TEXT NOT NULL CONSTRAINT known_period CHECK (
                     period = 'day' OR period = 'week' OR period = 'month' OR period = 'ever'),
    amount       INTEGER NOT NULL CHECK (amount >= -1),
    pending      INTEGER NOT NULL CHECK (pending >= -1),
    pending_from INTEGER NOT NULL CHECK (pending_from >= 0),
    window       INTEGER NOT NULL,
    used         INTEGER NOT NULL,
    last_bet     INTEGER NOT NULL CHECK (last_bet >= 0),
    PRIMARY KEY (user_id, kind, period),
    CONSTRAINT an_exclusion_has_no_period CHECK ((kind = 'exclusion') = (period = 'ever'))
) STRICT, WITHOUT ROWID;

-- A bet that was refused for good, so that its retry stays refused. No part of the chain: no money moved.
CREATE TABLE refusals (
    bet_id      TEXT PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id),
    stake       INTEGER NOT NULL CHECK (stake > 0),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    code        TEXT NOT NULL CONSTRAINT known_code CHECK (
                      code = 'ACCOUNT_BLOCKED' OR code = 'CURRENCY_MISMATCH' OR code = 'BET_ROLLED_BACK'
                      OR code = 'LIMIT_EXCEEDED' OR code = 'INSUFFICIENT_FUNDS'),
    balance     INTEGER NOT NULL,
    held        INTEGER NOT NULL,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose signatures blocks bear: Ed25519, the public key of 32 bytes, named by the first half of its SHA-256.
-- It says who is meant, not who may be trusted: that is for whoever was given a public key by other ways.
CREATE TABLE signers (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32)
) STRICT, WITHOUT ROWID;

-- The seal of one committed batch: which transactions and entries it holds and, through prev_hash, all
-- history before it. The bytes under `root` and `hash` are written down in docs/evidence.md.
CREATE TABLE blocks (
    id                   INTEGER PRIMARY KEY,
    format               INTEGER NOT NULL CHECK (format >= 1),
    first_transaction_id INTEGER NOT NULL,
    last_transaction_id  INTEGER NOT NULL,
    first_entry_id       INTEGER NOT NULL,
    last_entry_id        INTEGER NOT NULL,
    at                   INTEGER NOT NULL,
    prev_hash            BLOB NOT NULL CHECK (length(prev_hash) = 32),
    -- The root of the tree over all blocks before this one; of the tree over its transactions with their entries.
    history              BLOB NOT NULL CHECK (length(history) = 32),
    root                 BLOB NOT NULL CHECK (length(root) = 32),
    key_id               BLOB NOT NULL, -- of signers: the seal looks it up
    hash                 BLOB NOT NULL CHECK (length(hash) = 32),
    -- The last peak of the tree over all blocks so far: the next block's history needs a few of them.
    peak                 BLOB NOT NULL CHECK (length(peak) = 32),
    signature            BLOB NOT NULL CHECK (length(signature) = 64),
    -- A block without a transaction would seal nothing; a transaction without an entry moved no money.
    CHECK (last_transaction_id >= first_transaction_id),
    CHECK (last_entry_id >= first_entry_id - 1)
) STRICT;

-- What was moved, or is being moved, into a file beside this one: all entries up to a block, and the transactions up
-- to it that nothing in this file rests on, with their bets. Keyed by the transaction that began it.
-- last_transaction_id as in bets: 0, or the one that carries what is left behind; from then on rows are deleted.
CREATE TABLE archives (
    id                   INTEGER PRIMARY KEY,
    block_id             INTEGER NOT NULL,
    upto_transaction_id  INTEGER NOT NULL,
    upto_entry_id        INTEGER NOT NULL,
    state                TEXT NOT NULL DEFAULT 'copying' CONSTRAINT known_state_of_archive CHECK (
                             state = 'copying' OR state = 'moving'),
    -- SHA-256 of the balances of all holders at that block, and of `carried`: zeros until they are known.
    openings             BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(openings) = 32),
    carried              BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(carried) = 32),
    last_transaction_id  INTEGER NOT NULL DEFAULT 0,
    -- Up to where rows have been deleted here. No default, which UPDATE OR REPLACE would put in the place of a NULL.
    moved_transaction_id INTEGER NOT NULL CHECK (moved_transaction_id <= upto_transaction_id),
    moved_entry_id       INTEGER NOT NULL CHECK (moved_entry_id <= upto_entry_id)
) STRICT;

-- What an audit has to know of all that was archived, to go on behind it (engine/origin.py). Its hash is in `archives`.
CREATE TABLE carried (
    archive_id INTEGER PRIMARY KEY,
    state      BLOB NOT NULL
) STRICT;

-- The first half of the SHA-256 of scope and key of each transaction that was archived (engine/archived_keys.py), so
-- that none of them happens twice.
CREATE TABLE archived_keys (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 16)
) STRICT, WITHOUT ROWID;

-- What `solidgreen reconcile --repair` has put right in users, so that no repair goes unseen; block_id is the newest
-- block of that time, 0 before the first.
CREATE TABLE repairs (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    block_id INTEGER NOT NULL,
    user_id  INTEGER NOT NULL,
    what     TEXT NOT NULL CONSTRAINT known_column CHECK (
                 what = 'balance' OR what = 'held' OR what = 'owed' OR what = 'last_entry_id'),
    found    INTEGER NOT NULL,
    became   INTEGER NOT NULL CHECK (became <> found)
) STRICT;

-- History is evidence: a correction is a new transaction. These hold whatever the pragmas are.
-- What is carried is changed by the step that carries it, and by nothing else: only in the middle of that is an entry
-- still there that is moved (archives_carry_what_they_move).
CREATE TRIGGER ledger_is_never_updated BEFORE UPDATE ON transaction_ledger
WHEN NOT EXISTS (
    SELECT 1 FROM archives, transaction_ledger AS moved WHERE moved.id BETWEEN 1 AND archives.moved_entry_id)
BEGIN SELECT RAISE(ABORT, 'transaction_ledger is append-only'); END;
CREATE TRIGGER ledger_is_never_deleted BEFORE DELETE ON transaction_ledger
WHEN OLD.id < 0 OR NOT EXISTS (SELECT 1 FROM archives WHERE moved_entry_id >= OLD.id)
BEGIN SELECT RAISE(ABORT, 'transaction_ledger is append-only, but for what is archived'); END;
CREATE TRIGGER transactions_are_never_updated BEFORE UPDATE ON transactions
BEGIN SELECT RAISE(ABORT, 'transactions is append-only'); END;
-- But for deposits, withdrawals and transfers; for the bet of which the row is gone; and for what became of that, which
-- names it. What rows of other tables rest on stays.
CREATE TRIGGER transactions_are_never_deleted BEFORE DELETE ON transactions
WHEN NOT EXISTS (SELECT 1 FROM archives WHERE state = 'moving' AND upto_transaction_id >= OLD.id)
  OR (OLD.kind = 'BET' AND EXISTS (SELECT 1 FROM bets WHERE transaction_id = OLD.id))
  OR (OLD.kind <> 'BET' AND OLD.kind <> 'DEPOSIT' AND OLD.kind <> 'WITHDRAWAL' AND OLD.kind <> 'TRANSFER'
      AND (json_extract(OLD.answer, '$.bet.bet_id') IS NULL
           OR EXISTS (SELECT 1 FROM transactions
                      WHERE scope = 'bet' AND key = json_extract(OLD.answer, '$.bet.bet_id'))))
BEGIN SELECT RAISE(ABORT, 'transactions is append-only, but for what is archived'); END;
CREATE TRIGGER blocks_are_never_updated BEFORE UPDATE ON blocks
BEGIN SELECT RAISE(ABORT, 'blocks is append-only'); END;
CREATE TRIGGER blocks_are_never_deleted BEFORE DELETE ON blocks
BEGIN SELECT RAISE(ABORT, 'blocks is append-only'); END;
CREATE TRIGGER signers_are_never_updated BEFORE UPDATE ON signers
BEGIN SELECT RAISE(ABORT, 'signers is append-only'); END;
CREATE TRIGGER signers_are_never_deleted BEFORE DELETE ON signers
BEGIN SELECT RAISE(ABORT, 'signers is append-only'); END;
CREATE TRIGGER repairs_are_never_updated BEFORE UPDATE ON repairs
BEGIN SELECT RAISE(ABORT, 'repairs is append-only'); END;
CREATE TRIGGER repairs_are_never_deleted BEFORE DELETE ON repairs
BEGIN SELECT RAISE(ABORT, 'repairs is append-only'); END;
CREATE TRIGGER refusals_are_never_updated BEFORE UPDATE ON refusals
BEGIN SELECT RAISE(ABORT, 'refusals is append-only'); END;
CREATE TRIGGER refusals_are_never_deleted BEFORE DELETE ON refusals
BEGIN SELECT RAISE(ABORT, 'refusals is append-only'); END;
-- But for one that is over, and was so by the end of what is archived; where it was free, its free bet rests on it.
CREATE TRIGGER bets_are_never_deleted BEFORE DELETE ON bets
WHEN OLD.state = 'confirmed'
  OR NOT EXISTS (SELECT 1 FROM archives
                 WHERE state = 'moving' AND upto_transaction_id >= OLD.last_transaction_id)
  OR EXISTS (SELECT 1 FROM transactions
             WHERE id = OLD.transaction_id AND json_extract(answer, '$.free_bet') IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'bets are not deleted: roll them back'); END;
CREATE TRIGGER archives_are_never_deleted BEFORE DELETE ON archives
BEGIN SELECT RAISE(ABORT, 'archives is append-only'); END;
CREATE TRIGGER carried_is_never_updated BEFORE UPDATE ON carried
BEGIN SELECT RAISE(ABORT, 'carried is append-only'); END;
CREATE TRIGGER carried_is_never_deleted BEFORE DELETE ON carried
BEGIN SELECT RAISE(ABORT, 'carried is append-only'); END;
CREATE TRIGGER archived_keys_are_never_updated BEFORE UPDATE ON archived_keys
BEGIN SELECT RAISE(ABORT, 'archived_keys is append-only'); END;
CREATE TRIGGER archived_keys_are_never_deleted BEFORE DELETE ON archived_keys
BEGIN SELECT RAISE(ABORT, 'archived_keys is append-only'); END;
CREATE TRIGGER holds_are_never_deleted BEFORE DELETE ON holds
BEGIN SELECT RAISE(ABORT, 'holds are not deleted: release them'); END;
CREATE TRIGGER participants_are_never_deleted BEFORE DELETE ON participants
BEGIN SELECT RAISE(ABORT, 'participants are not deleted'); END;
CREATE TRIGGER participants_are_never_updated BEFORE UPDATE ON participants
BEGIN SELECT RAISE(ABORT, 'participants do not change'); END;
CREATE TRIGGER bonuses_are_never_deleted BEFORE DELETE ON bonuses
BEGIN SELECT RAISE(ABORT, 'bonuses are not deleted: they expire'); END;
CREATE TRIGGER free_bets_are_never_deleted BEFORE DELETE ON free_bets
BEGIN SELECT RAISE(ABORT, 'free_bets are not deleted: revoke them'); END;
CREATE TRIGGER payouts_are_never_deleted BEFORE DELETE ON payouts
BEGIN SELECT RAISE(ABORT, 'payouts are not deleted'); END;
CREATE TRIGGER payout_items_are_never_deleted BEFORE DELETE ON payout_items
BEGIN SELECT RAISE(ABORT, 'payout_items is append-only'); END;
CREATE TRIGGER payout_items_are_never_updated BEFORE UPDATE ON payout_items
BEGIN SELECT RAISE(ABORT, 'payout_items is append-only'); END;
CREATE TRIGGER suspended_items_are_never_deleted BEFORE DELETE ON suspended_items
BEGIN SELECT RAISE(ABORT, 'suspended_items are not deleted: resolve them'); END;
CREATE TRIGGER limits_are_never_deleted BEFORE DELETE ON limits
BEGIN SELECT RAISE(ABORT, 'limits are not deleted: set them to none'); END;
CREATE TRIGGER users_are_never_deleted BEFORE DELETE ON users
BEGIN SELECT RAISE(ABORT, 'users are not deleted: close them'); END;

CREATE TRIGGER signers_only_grow BEFORE INSERT ON signers
WHEN EXISTS (SELECT 1 FROM signers WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM signers WHERE public_key = NEW.public_key)
BEGIN SELECT RAISE(ABORT, 'signers: it is there already'); END;

CREATE TRIGGER repairs_only_grow BEFORE INSERT ON repairs
WHEN NEW.id <= (SELECT coalesce(max(id), 0) FROM repairs)
  OR NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id)
BEGIN SELECT RAISE(ABORT, 'repairs: a repair follows the newest one, and is of an account'); END;

-- A batch is opened behind the newest block, frozen by its seal, and gone when its block is there.
CREATE TRIGGER open_batch_follows_the_newest_block BEFORE INSERT ON open_batch
WHEN EXISTS (SELECT 1 FROM open_batch)
  OR (NEW.id, NEW.first_transaction_id, NEW.first_entry_id)
     IS NOT (SELECT coalesce(max(id), 0) + 1,
                    coalesce(last_transaction_id, 0) + 1, coalesce(last_entry_id, 0) + 1
             FROM blocks)  -- the columns beside max(id) are those of its row: sqlite.org/lang_select.html
BEGIN SELECT RAISE(ABORT, 'open_batch: one batch at a time, and it follows the newest block'); END;
CREATE TRIGGER open_batch_is_only_frozen BEFORE UPDATE ON open_batch
WHEN (NEW.id, NEW.first_transaction_id, NEW.first_entry_id)
  IS NOT (OLD.id, OLD.first_transaction_id, OLD.first_entry_id)
  OR NEW.frozen < OLD.frozen
BEGIN SELECT RAISE(ABORT, 'open_batch: a batch stays as it was opened, and frozen once it is'); END;
CREATE TRIGGER open_batch_waits_for_its_block BEFORE DELETE ON open_batch
WHEN NOT EXISTS (SELECT 1 FROM blocks WHERE id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'open_batch: a batch ends with its block'); END;

-- INSERT OR REPLACE deletes the row in its way, and fires no DELETE trigger while recursive_triggers is off
-- (sqlite.org/lang_conflict.html). So each insert looks first, whatever the pragma; and before the row is
-- written, not after, since with journal_mode=OFF an abort undoes nothing.
CREATE TRIGGER ledger_only_grows BEFORE INSERT ON transaction_ledger
WHEN NOT EXISTS (SELECT 1 FROM open_batch WHERE id = NEW.block_id AND first_entry_id <= NEW.id AND frozen = 0)
 AND NOT EXISTS (
    SELECT 1 FROM archives, transaction_ledger AS moved WHERE moved.id BETWEEN 1 AND archives.moved_entry_id)
BEGIN SELECT RAISE(ABORT, 'transaction_ledger: an entry follows the newest block, in the open batch'); END;
CREATE TRIGGER transactions_only_grow BEFORE INSERT ON transactions
WHEN NOT EXISTS (SELECT 1 FROM open_batch
                 WHERE id = NEW.block_id AND first_transaction_id <= NEW.id AND frozen = 0)
  OR EXISTS (SELECT 1 FROM transactions WHERE scope = NEW.scope AND key = NEW.key)
BEGIN
    SELECT RAISE(ABORT,
                 'transactions: a transaction follows the newest block, in the open batch, under a new key');
END;
-- No hash covers the row of a bet or of a hold, so it cannot even be replaced in its own batch.
CREATE TRIGGER bets_only_grow BEFORE INSERT ON bets
WHEN NEW.transaction_id <= (SELECT max(transaction_id) FROM bets)
  OR (NEW.state, NEW.payout, NEW.settled, NEW.cashed_stake, NEW.last_transaction_id)
     IS NOT ('confirmed', 0, 0, 0, 0)
  OR NOT EXISTS (SELECT 1 FROM open_batch WHERE first_transaction_id <= NEW.transaction_id AND frozen = 0)
BEGIN SELECT RAISE(ABORT, 'bets: a bet follows the newest one, in the open batch, and begins as placed'); END;
-- Not UPDATE OF transaction_id: that trigger does not see 'SET rowid = …'.
CREATE TRIGGER bets_keep_their_terms BEFORE UPDATE ON bets
WHEN (NEW.transaction_id, NEW.user_id, NEW.currency, NEW.stake, NEW.game, NEW.round, NEW.selection, NEW.odds_milli)
  IS NOT (OLD.transaction_id, OLD.user_id, OLD.currency, OLD.stake, OLD.game, OLD.round, OLD.selection, OLD.odds_milli)
BEGIN SELECT RAISE(ABORT, 'bets: only what became of it changes'); END;
-- The chain covers the transaction that changed a bet, and its answer: that must name the bet, and say what
-- the row says. A batch writes a bet once, however often it changed it, so its newest change alone is looked
-- at. The answer leaves out what is 0.
CREATE TRIGGER bets_change_by_a_transaction BEFORE UPDATE ON bets
WHEN NEW.last_transaction_id <= max(OLD.last_transaction_id, OLD.transaction_id)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND NEW.state = CASE newest.kind
          WHEN 'WIN' THEN 'won' WHEN 'LOSS' THEN 'lost' WHEN 'REFUND' THEN 'void'
          WHEN 'UNSETTLE' THEN 'confirmed' WHEN 'ROLLBACK' THEN 'rolled_back'
          WHEN 'CASHOUT' THEN iif(NEW.cashed_stake = NEW.stake, 'cashed_out', 'confirmed') END
      AND json_extract(newest.answer, '$.bet.bet_id', '$.bet.state', '$.bet.total_minor',
                       '$.bet.settled_minor', '$.bet.cashed_stake_minor')
        = json_array((SELECT key FROM transactions WHERE id = OLD.transaction_id), NEW.state,
                     nullif(NEW.payout, 0), nullif(NEW.settled, 0), nullif(NEW.cashed_stake, 0)))
BEGIN SELECT RAISE(ABORT, 'bets: it changes as a new transaction of the open batch says'); END;
-- So does what an archive takes with it, from the batch behind the one that began it; not where a free bet rests on it.
CREATE TRIGGER bets_end_for_good BEFORE UPDATE ON bets
WHEN OLD.state = 'cashed_out' OR OLD.state = 'rolled_back' OR NEW.cashed_stake < OLD.cashed_stake
  OR (OLD.state <> 'confirmed'
      AND EXISTS (SELECT 1 FROM archives, open_batch
                  WHERE archives.id < open_batch.first_transaction_id
                    AND archives.upto_transaction_id >= OLD.last_transaction_id)
      AND NOT EXISTS (SELECT 1 FROM transactions
                      WHERE id = OLD.transaction_id AND json_extract(answer, '$.free_bet') IS NOT NULL))
BEGIN SELECT RAISE(ABORT, 'bets: what is over for good stays so'); END;
CREATE TRIGGER holds_only_grow BEFORE INSERT ON holds
WHEN NEW.id <= (SELECT max(id) FROM holds)
  OR (NEW.state, NEW.remaining, NEW.last_transaction_id) IS NOT ('open', NEW.amount, 0)
  OR NOT EXISTS (SELECT 1 FROM open_batch WHERE first_transaction_id <= NEW.id AND frozen = 0)
BEGIN SELECT RAISE(ABORT, 'holds: a hold follows the newest one, in the open batch, and begins whole'); END;
CREATE TRIGGER holds_keep_their_terms BEFORE UPDATE ON holds
WHEN (NEW.id, NEW.user_id, NEW.currency, NEW.purpose, NEW.amount, NEW.expires_at)
  IS NOT (OLD.id, OLD.user_id, OLD.currency, OLD.purpose, OLD.amount, OLD.expires_at)
BEGIN SELECT RAISE(ABORT, 'holds: only what became of it changes'); END;
-- As with bets. Each change takes something away, so a hold that is over, with nothing left, stays as it is.
CREATE TRIGGER holds_change_by_a_transaction BEFORE UPDATE ON holds
WHEN NEW.last_transaction_id <= max(OLD.last_transaction_id, OLD.id) OR NEW.remaining >= OLD.remaining
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND NEW.state = CASE newest.kind
          WHEN 'CAPTURE' THEN iif(NEW.remaining > 0, 'open', 'captured')
          WHEN 'RELEASE' THEN 'released' WHEN 'EXPIRY' THEN 'expired' END
      AND json_extract(newest.answer, '$.hold.id', '$.hold.state', '$.hold.left_minor')
        = json_array(OLD.id, NEW.state, nullif(NEW.remaining, 0)))
BEGIN SELECT RAISE(ABORT, 'holds: it changes as a new transaction of the open batch says'); END;
-- A bonus wallet is beside the player's wallet that spends it, in its currency and of the same person.
CREATE TRIGGER bonuses_only_grow BEFORE INSERT ON bonuses
WHEN NEW.state <> 'open'
  OR EXISTS (SELECT 1 FROM bonuses WHERE user_id = NEW.user_id)
  OR EXISTS (SELECT 1 FROM bonuses WHERE wallet_id = NEW.wallet_id)
  OR NOT EXISTS (
    SELECT 1 FROM users AS bonus, users AS wallet
    WHERE bonus.id = NEW.user_id AND bonus.kind = 'player_bonus'
      AND wallet.id = NEW.wallet_id AND wallet.kind = 'player'
      AND bonus.currency = wallet.currency AND bonus.participant_id = wallet.participant_id)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND newest.kind = 'BONUS'
      AND json_extract(newest.answer, '$.bonus.user_id', '$.bonus.state', '$.bonus.spend', '$.bonus.expires_at_us')
        = json_array(NEW.user_id, NEW.state, NEW.spend, nullif(NEW.expires_at, 0)))
BEGIN SELECT RAISE(ABORT, 'bonuses: one of a wallet, as a new transaction of the open batch says'); END;
CREATE TRIGGER bonuses_stay_with_their_wallet BEFORE UPDATE ON bonuses
WHEN (NEW.user_id, NEW.wallet_id) IS NOT (OLD.user_id, OLD.wallet_id)
BEGIN SELECT RAISE(ABORT, 'bonuses: it stays with its wallet'); END;
-- As with bets; and what expires does so once, on the terms that it has. A batch cannot grant what its own time
-- has expired, so no grant hides behind an EXPIRY.
CREATE TRIGGER bonuses_change_by_a_transaction BEFORE UPDATE ON bonuses
WHEN NEW.last_transaction_id <= OLD.last_transaction_id
  OR (NEW.state = 'expired'
      AND (OLD.state, OLD.spend, OLD.expires_at) IS NOT ('open', NEW.spend, NEW.expires_at))
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND NEW.state = CASE newest.kind WHEN 'BONUS' THEN 'open' WHEN 'EXPIRY' THEN 'expired' END
      AND json_extract(newest.answer, '$.bonus.user_id', '$.bonus.state', '$.bonus.spend', '$.bonus.expires_at_us')
        = json_array(OLD.user_id, NEW.state, NEW.spend, nullif(NEW.expires_at, 0)))
BEGIN SELECT RAISE(ABORT, 'bonuses: it changes as a new transaction of the open batch says'); END;
CREATE TRIGGER free_bets_only_grow BEFORE INSERT ON free_bets
WHEN NEW.id <= (SELECT max(id) FROM free_bets)
  OR (NEW.state, NEW.last_transaction_id) IS NOT ('open', 0)
  OR NOT EXISTS (
    SELECT 1 FROM users
    WHERE users.id = NEW.user_id AND users.kind = 'player' AND users.currency = NEW.currency)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS granting
    WHERE frozen = 0 AND granting.block_id = open_batch.id AND granting.id = NEW.id AND granting.kind = 'FREE_BET'
      AND json_extract(granting.answer, '$.free_bet.id', '$.free_bet.state', '$.free_bet.amount_minor')
        = json_array(NEW.id, 'open', NEW.amount))
BEGIN SELECT RAISE(ABORT, 'free_bets: one of a wallet, as a new transaction of the open batch says'); END;
CREATE TRIGGER free_bets_keep_their_terms BEFORE UPDATE ON free_bets
WHEN (NEW.id, NEW.user_id, NEW.currency, NEW.amount, NEW.expires_at)
  IS NOT (OLD.id, OLD.user_id, OLD.currency, OLD.amount, OLD.expires_at)
BEGIN SELECT RAISE(ABORT, 'free_bets: only what became of it changes'); END;
-- As with bets: used by a bet, and open again when that bet is given back.
CREATE TRIGGER free_bets_change_by_a_transaction BEFORE UPDATE ON free_bets
WHEN NEW.last_transaction_id <= max(OLD.last_transaction_id, OLD.id)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND NEW.state = CASE newest.kind
          WHEN 'BET' THEN 'used' WHEN 'UNSETTLE' THEN 'used' WHEN 'REFUND' THEN 'open'
          WHEN 'ROLLBACK' THEN 'open' WHEN 'REVOKE' THEN 'revoked' WHEN 'EXPIRY' THEN 'expired' END
      AND json_extract(newest.answer, '$.free_bet.id', '$.free_bet.state', '$.free_bet.amount_minor')
        = json_array(OLD.id, NEW.state, OLD.amount))
BEGIN SELECT RAISE(ABORT, 'free_bets: it changes as a new transaction of the open batch says'); END;
-- What was used opens, and what is open is used, revoked or expires: else it could be used twice. What it was before
-- is said by OLD, or by another transaction of the batch, which changed it in between.
CREATE TRIGGER free_bets_change_step_by_step BEFORE UPDATE ON free_bets
WHEN CASE NEW.state WHEN 'open' THEN 'used' ELSE 'open' END IS NOT (
    SELECT iif(before.id IS NULL, iif(told.before = OLD.last_transaction_id, OLD.state, NULL),
               json_extract(before.answer, '$.free_bet.state'))
    FROM (SELECT coalesce(json_extract(answer, '$.free_bet.before'), 0) AS before
          FROM transactions WHERE id = NEW.last_transaction_id) AS told
    LEFT JOIN transactions AS before
      ON before.id = told.before AND before.id >= (SELECT first_transaction_id FROM open_batch)
     AND json_extract(before.answer, '$.free_bet.id') = OLD.id)
BEGIN SELECT RAISE(ABORT, 'free_bets: it is used while it is open, and opens again when it was used'); END;
-- A bet of its player's and of its amount uses it, and the same bet gives it back.
CREATE TRIGGER free_bets_pay_their_bet BEFORE UPDATE ON free_bets
WHEN (NEW.state = 'used' OR NEW.state = 'open') AND NOT EXISTS (
    SELECT 1 FROM transactions AS newest, transactions AS placed, bets
    WHERE newest.id = NEW.last_transaction_id
      AND placed.scope = 'bet'
      AND placed.key = iif(newest.kind = 'BET', newest.key, json_extract(newest.answer, '$.bet.bet_id'))
      AND json_extract(placed.answer, '$.free_bet.id') = OLD.id
      AND bets.transaction_id = placed.id AND bets.user_id = OLD.user_id AND bets.stake = OLD.amount)
BEGIN SELECT RAISE(ABORT, 'free_bets: it pays a bet of its player, and comes back with it'); END;
CREATE TRIGGER free_bets_end_for_good BEFORE UPDATE ON free_bets
WHEN OLD.state = 'revoked' OR OLD.state = 'expired'
BEGIN SELECT RAISE(ABORT, 'free_bets: what was revoked or has expired stays so'); END;
-- Its transaction is in the file before it.
CREATE TRIGGER payouts_only_grow BEFORE INSERT ON payouts
WHEN NEW.id <= (SELECT max(id) FROM payouts)
  OR (NEW.state, NEW.items, NEW.total, NEW.done, NEW.suspended, NEW.last_transaction_id)
     IS NOT ('collecting', 0, 0, 0, 0, 0)
  OR EXISTS (SELECT 1 FROM users WHERE id = NEW.id + 4503599627370496 AND currency <> NEW.currency)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS opening
    WHERE frozen = 0 AND opening.block_id = open_batch.id AND opening.id = NEW.id
      AND (opening.kind = 'PAYOUT_OPEN' OR opening.kind = 'PAYOUT')
      AND json_extract(opening.answer, '$.payout.id') = NEW.id)
BEGIN SELECT RAISE(ABORT, 'payouts: a payout follows the newest one, in the open batch, and begins empty'); END;
CREATE TRIGGER payouts_keep_their_terms BEFORE UPDATE ON payouts
WHEN (NEW.id, NEW.caller, NEW.currency) IS NOT (OLD.id, OLD.caller, OLD.currency)
BEGIN SELECT RAISE(ABORT, 'payouts: only what became of it changes'); END;
-- As with bets. What has come in is counted, each item once: those that the row does not count yet.
CREATE TRIGGER payouts_change_by_a_transaction BEFORE UPDATE ON payouts
WHEN NEW.last_transaction_id <= OLD.last_transaction_id
  OR (NEW.items - OLD.items, NEW.total - OLD.total)
     IS NOT (SELECT count(*), coalesce(sum(amount), 0) FROM payout_items
             WHERE payout_id = OLD.id AND number >= OLD.items)
  OR NEW.done < OLD.done
  OR (NEW.state = 'collecting' AND OLD.state <> 'collecting')
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND NEW.state = CASE newest.kind
          WHEN 'PAYOUT_ITEMS' THEN 'collecting' WHEN 'PAYOUT_START' THEN 'paying'
          WHEN 'PAYOUT' THEN iif(NEW.done = NEW.items, 'paid', 'paying')
          WHEN 'PAYOUT_ITEM' THEN iif(NEW.done = NEW.items, 'paid', 'paying') END
      AND json_extract(newest.answer, '$.payout.id', '$.payout.state', '$.payout.items',
                       '$.payout.total_minor', '$.payout.done', '$.payout.suspended')
        = json_array(OLD.id, NEW.state, nullif(NEW.items, 0), nullif(NEW.total, 0),
                     nullif(NEW.done, 0), nullif(NEW.suspended, 0)))
BEGIN SELECT RAISE(ABORT, 'payouts: it changes as a new transaction of the open batch says'); END;
CREATE TRIGGER payout_items_only_grow BEFORE INSERT ON payout_items
WHEN NOT EXISTS (SELECT 1 FROM open_batch WHERE frozen = 0)
  OR NEW.number IS NOT (SELECT coalesce(max(number), -1) + 1 FROM payout_items WHERE payout_id = NEW.payout_id)
  OR NOT EXISTS (SELECT 1 FROM payouts WHERE id = NEW.payout_id AND state = 'collecting')
BEGIN SELECT RAISE(ABORT, 'payout_items: an item follows the one before it, while its payout collects'); END;
-- Written before payouts.done moves on: the item is one that this batch does. Items in suspense are few, so
-- the batch is searched for the transaction that names this one.
CREATE TRIGGER suspended_items_only_grow BEFORE INSERT ON suspended_items
WHEN NEW.state <> 'suspended' OR NEW.last_transaction_id <> 0
  OR EXISTS (SELECT 1 FROM suspended_items WHERE payout_id = NEW.payout_id AND number = NEW.number)
  OR NOT EXISTS (
    SELECT 1 FROM payouts, payout_items AS item
    WHERE payouts.id = NEW.payout_id AND payouts.done <= NEW.number
      AND item.payout_id = NEW.payout_id AND item.number = NEW.number)
  OR NOT EXISTS (
    SELECT 1 FROM transactions AS chunk CROSS JOIN json_each(chunk.answer, '$.payout.suspends') AS named
    WHERE chunk.id >= (SELECT first_transaction_id FROM open_batch WHERE frozen = 0) AND chunk.kind = 'PAYOUT'
      AND json_extract(chunk.answer, '$.payout.id') = NEW.payout_id
      AND json_extract(chunk.answer, '$.payout.done') > NEW.number
      AND named.value = json_array(NEW.number, NEW.reason))
BEGIN SELECT RAISE(ABORT, 'suspended_items: an item, once, as the transaction says that did it'); END;
-- The answer does not say which item, and which way; the entries do: out of suspense, and if it was given back,
-- into the house, both under the name of the item.
CREATE TRIGGER suspended_items_change_by_a_transaction BEFORE UPDATE ON suspended_items
WHEN (NEW.payout_id, NEW.number, NEW.reason) IS NOT (OLD.payout_id, OLD.number, OLD.reason)
  OR OLD.state <> 'suspended'
  OR NEW.state IS NOT (
    SELECT CASE count(*) WHEN 1 THEN 'paid' WHEN 2 THEN 'returned' END
    FROM transaction_ledger AS entry
    WHERE entry.id >= (SELECT first_entry_id FROM open_batch) AND entry.transaction_id = NEW.last_transaction_id
      AND entry.ref_type = 'SUSPENSE' AND entry.ref_id = OLD.payout_id || ':' || OLD.number)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND newest.kind = 'PAYOUT_ITEM' AND json_extract(newest.answer, '$.payout.id') = OLD.payout_id)
BEGIN SELECT RAISE(ABORT, 'suspended_items: it changes as a new transaction of the open batch says'); END;
-- A limit is put by an upsert, whose INSERT comes first also where the row is there. Its counters change with
-- each bet; what it allows, only beside a transaction that says so.
CREATE TRIGGER limits_are_put_in_a_batch BEFORE INSERT ON limits
WHEN NOT EXISTS (SELECT 1 FROM open_batch WHERE frozen = 0)
  OR NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND users.kind = 'player')
  OR (NOT EXISTS (SELECT 1 FROM limits
                  WHERE user_id = NEW.user_id AND kind = NEW.kind AND period = NEW.period
                    AND amount = NEW.amount AND pending = NEW.pending AND pending_from = NEW.pending_from)
      AND NOT EXISTS (SELECT 1 FROM transactions
                      WHERE id >= (SELECT first_transaction_id FROM open_batch)
                        AND transactions.kind = 'LIMIT'))
BEGIN SELECT RAISE(ABORT, 'limits: one of a player, put by a transaction of the open batch'); END;
CREATE TRIGGER limits_change_in_a_batch BEFORE UPDATE ON limits
WHEN (NEW.user_id, NEW.kind, NEW.period) IS NOT (OLD.user_id, OLD.kind, OLD.period)
  OR NOT EXISTS (SELECT 1 FROM open_batch WHERE frozen = 0)
  OR ((NEW.amount, NEW.pending, NEW.pending_from) IS NOT (OLD.amount, OLD.pending, OLD.pending_from)
      AND NOT EXISTS (SELECT 1 FROM transactions
                      WHERE id >= (SELECT first_transaction_id FROM open_batch)
                        AND transactions.kind = 'LIMIT'))
BEGIN SELECT RAISE(ABORT, 'limits: it counts in an open batch, and changes by a transaction of it'); END;
CREATE TRIGGER refusals_only_grow BEFORE INSERT ON refusals
WHEN EXISTS (SELECT 1 FROM refusals WHERE bet_id = NEW.bet_id)
BEGIN SELECT RAISE(ABORT, 'refusals: this bet was refused before'); END;

-- One archive after another: the next begins where nothing of the one before is left to be moved, at a later block.
CREATE TRIGGER archives_only_grow BEFORE INSERT ON archives
WHEN EXISTS (SELECT 1 FROM archives
             WHERE moved_entry_id < upto_entry_id OR moved_transaction_id < upto_transaction_id
                OR block_id >= NEW.block_id)
  OR (NEW.state, NEW.openings, NEW.carried, NEW.last_transaction_id, NEW.moved_transaction_id)
     IS NOT ('copying', zeroblob(32), zeroblob(32), 0, 0)
  OR NEW.moved_entry_id IS NOT (SELECT coalesce(max(upto_entry_id), 0) FROM archives)
  OR NOT EXISTS (
    SELECT 1 FROM blocks
    WHERE id = NEW.block_id
      AND (last_transaction_id, last_entry_id) = (NEW.upto_transaction_id, NEW.upto_entry_id))
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS beginning
    WHERE frozen = 0 AND beginning.block_id = open_batch.id AND beginning.id = NEW.id AND beginning.kind = 'ARCHIVE'
      AND json_extract(beginning.answer, '$.archive.id', '$.archive.state', '$.archive.block_id')
        = json_array(NEW.id, 'copying', NEW.block_id))
BEGIN SELECT RAISE(ABORT, 'archives: one after another, as a new transaction of the open batch says'); END;
CREATE TRIGGER archives_keep_their_terms BEFORE UPDATE ON archives
WHEN (NEW.id, NEW.block_id, NEW.upto_transaction_id, NEW.upto_entry_id)
  IS NOT (OLD.id, OLD.block_id, OLD.upto_transaction_id, OLD.upto_entry_id)
BEGIN SELECT RAISE(ABORT, 'archives: only what became of it changes'); END;
-- As with bets: once, and only then can anything be deleted.
CREATE TRIGGER archives_change_by_a_transaction
BEFORE UPDATE OF state, openings, carried, last_transaction_id ON archives
WHEN (NEW.state, NEW.openings, NEW.carried, NEW.last_transaction_id)
     IS NOT (OLD.state, OLD.openings, OLD.carried, OLD.last_transaction_id)
 AND (OLD.state <> 'copying' OR NEW.state <> 'moving'
  OR NOT EXISTS (SELECT 1 FROM carried WHERE archive_id = OLD.id)
  OR NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS newest
    WHERE frozen = 0 AND newest.block_id = open_batch.id AND newest.id = NEW.last_transaction_id
      AND newest.kind = 'CARRY'
      AND json_extract(newest.answer, '$.archive.id', '$.archive.state', '$.archive.openings', '$.archive.carried')
        = json_array(OLD.id, NEW.state, lower(hex(NEW.openings)), lower(hex(NEW.carried)))))
BEGIN SELECT RAISE(ABORT, 'archives: it changes as a new transaction of the open batch says'); END;
CREATE TRIGGER archives_move_on BEFORE UPDATE OF moved_transaction_id, moved_entry_id ON archives
WHEN NEW.moved_transaction_id < OLD.moved_transaction_id
  OR NEW.moved_entry_id < OLD.moved_entry_id
  OR (OLD.state <> 'moving' AND (NEW.moved_transaction_id, NEW.moved_entry_id)
                            IS NOT (OLD.moved_transaction_id, OLD.moved_entry_id))
BEGIN SELECT RAISE(ABORT, 'archives: what is carried moves on, and never back'); END;
-- Entries go as one: whoever says how far they are moved has them carried and deleted, and their sum stays the same.
CREATE TRIGGER archives_carry_what_they_move AFTER UPDATE OF moved_entry_id ON archives
WHEN NEW.moved_entry_id > OLD.moved_entry_id
BEGIN
    INSERT INTO transaction_ledger
        (id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id)
    SELECT -moved.user_id, moved.user_id, moved.currency,
           moved.amount + coalesce(carried.amount, 0), moved.amount + coalesce(carried.amount, 0),
           'CARRIED', NEW.id, NEW.last_transaction_id, NEW.block_id, moved.last_id
    FROM (SELECT user_id, currency, sum(amount) AS amount, max(id) AS last_id
          FROM transaction_ledger WHERE id BETWEEN 1 AND NEW.moved_entry_id GROUP BY user_id) AS moved
    LEFT JOIN transaction_ledger AS carried ON carried.id = -moved.user_id
    WHERE 1 -- else SQLite takes ON CONFLICT for a part of the join (sqlite.org/lang_upsert.html, section 2.2)
    ON CONFLICT (id) DO UPDATE
    SET amount = excluded.amount, balance_after = excluded.balance_after, ref_id = excluded.ref_id,
        transaction_id = excluded.transaction_id, block_id = excluded.block_id, prev_id = excluded.prev_id;

    SELECT RAISE(ABORT, 'archives: what is carried is the balance behind the newest of the entries')
    WHERE EXISTS (
        SELECT 1
        FROM (SELECT user_id, balance_after, max(id) AS id
              FROM transaction_ledger WHERE id BETWEEN 1 AND NEW.moved_entry_id GROUP BY user_id) AS last
        LEFT JOIN transaction_ledger AS carried ON carried.id = -last.user_id
        WHERE (carried.prev_id, carried.amount) IS NOT (last.id, last.balance_after));

    DELETE FROM transaction_ledger WHERE id BETWEEN 1 AND NEW.moved_entry_id;

    SELECT RAISE(ABORT, 'archives: what is moved is still there')
    WHERE EXISTS (SELECT 1 FROM transaction_ledger WHERE id BETWEEN 1 AND NEW.moved_entry_id);
END;
CREATE TRIGGER carried_follows_its_archive BEFORE INSERT ON carried
WHEN EXISTS (SELECT 1 FROM carried WHERE archive_id = NEW.archive_id)
  OR NOT EXISTS (SELECT 1 FROM archives WHERE id = NEW.archive_id)
BEGIN SELECT RAISE(ABORT, 'carried: that of an archive, once'); END;
CREATE TRIGGER archived_keys_only_grow BEFORE INSERT ON archived_keys
WHEN NOT EXISTS (SELECT 1 FROM archives WHERE state = 'copying')
BEGIN SELECT RAISE(ABORT, 'archived_keys: while an archive is being copied'); END;

-- Opening balances are deposits, like any other money: an account begins with nothing. A book of the house's may
-- go down to -2^62 until a FLOOR says otherwise; wallets, and the clearing accounts of payouts, stay at 0.
CREATE TRIGGER users_begin_empty BEFORE INSERT ON users
WHEN NEW.balance <> 0 OR NEW.held <> 0 OR NEW.owed <> 0 OR NEW.limited <> 0 OR NEW.last_entry_id <> 0
  OR NEW.floor <> iif(NEW.kind <> 'player' AND NEW.kind <> 'player_bonus' AND NEW.id < 4503599627370496,
                      -4611686018427387904, 0)
  OR EXISTS (SELECT 1 FROM users WHERE id = NEW.id)
  OR (NEW.participant_id IS NULL
      AND NEW.id < 4503599627370496
      AND EXISTS (SELECT 1 FROM users WHERE currency = NEW.currency AND kind = NEW.kind
                                        AND participant_id IS NULL AND id < 4503599627370496))
BEGIN SELECT RAISE(ABORT, 'users: an account is new and begins empty'); END;
CREATE TRIGGER participants_only_grow BEFORE INSERT ON participants
WHEN EXISTS (SELECT 1 FROM users WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'participants: his number is that of his first wallet, which is to come'); END;
-- Looked up here too: foreign_keys may be off.
CREATE TRIGGER users_belong_to_participants BEFORE INSERT ON users
WHEN (NEW.participant_id = NEW.id AND NEW.kind <> 'player')
  OR (NEW.participant_id IS NOT NEW.id AND EXISTS (SELECT 1 FROM participants WHERE id = NEW.id))
  OR (NEW.participant_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM participants WHERE id = NEW.participant_id))
  OR (NEW.participant_id <> NEW.id
      AND NOT EXISTS (SELECT 1 FROM users AS first WHERE first.id = NEW.participant_id))
BEGIN SELECT RAISE(ABORT, 'users: a wallet is that of a participant, whose first wallet has his number'); END;
-- Grants are few, so the batch is searched for the one that names it.
CREATE TRIGGER users_are_granted_their_bonus BEFORE INSERT ON users
WHEN NEW.kind = 'player_bonus' AND NOT EXISTS (
    SELECT 1 FROM transactions AS granting
    WHERE granting.id >= (SELECT first_transaction_id FROM open_batch WHERE frozen = 0) AND granting.kind = 'BONUS'
      AND json_extract(granting.answer, '$.bonus.user_id') = NEW.id)
BEGIN SELECT RAISE(ABORT, 'users: a bonus wallet is made by the grant that names it'); END;
CREATE TRIGGER users_number_bonus_books_by_their_house BEFORE INSERT ON users
WHEN NEW.kind = 'bonus' AND NOT EXISTS (
    SELECT 1 FROM users AS house
    WHERE house.id = NEW.id - 2251799813685248 AND house.kind = 'house' AND house.currency = NEW.currency)
BEGIN SELECT RAISE(ABORT, 'users: a bonus book has the number of the house of its currency, and 2^51'); END;
-- A clearing account is made beside the payout that is its own, or after it.
CREATE TRIGGER users_clear_their_payout BEFORE INSERT ON users
WHEN NEW.currency <> (SELECT currency FROM payouts WHERE id = NEW.id - 4503599627370496)
  OR (NEW.id >= 4503599627370496 AND NOT EXISTS (
    SELECT 1 FROM open_batch, transactions AS opening
    WHERE frozen = 0 AND opening.id = NEW.id - 4503599627370496 AND opening.kind = 'PAYOUT_OPEN'))
BEGIN SELECT RAISE(ABORT, 'users: a clearing account is that of a payout, in its currency'); END;
-- What is set aside or owed changes beside the transaction that says why, and so does whether a player has limits,
-- which he then has for good. The look-up is the last thing to be asked: a bet changes none of them.
CREATE TRIGGER users_set_aside_and_owe_in_a_batch BEFORE UPDATE OF held, owed, limited ON users
WHEN (NEW.held <> OLD.held OR NEW.owed <> OLD.owed OR NEW.limited <> OLD.limited)
 AND (NEW.limited < OLD.limited OR NOT EXISTS (SELECT 1 FROM open_batch WHERE frozen = 0))
BEGIN SELECT RAISE(ABORT, 'users: held, owed and limited change in an open batch, and limits are for good'); END;
-- A batch writes an account once, so of several FLOORs the newest counts. They are rare: the batch is searched.
CREATE TRIGGER users_have_the_floor_that_is_said BEFORE UPDATE OF floor ON users
WHEN NEW.floor <> OLD.floor AND NEW.floor IS NOT (
    SELECT json_extract(newest.answer, '$.floor.floor_minor') FROM transactions AS newest
    WHERE newest.id >= (SELECT first_transaction_id FROM open_batch WHERE frozen = 0) AND newest.kind = 'FLOOR'
      AND json_extract(newest.answer, '$.floor.user_id') = NEW.id
    ORDER BY newest.id DESC LIMIT 1)
BEGIN SELECT RAISE(ABORT, 'users: a floor changes as a new transaction of the open batch says'); END;
CREATE TRIGGER users_keep_their_identity BEFORE UPDATE OF id, kind, currency, participant_id ON users
BEGIN SELECT RAISE(ABORT, 'users: id, kind, currency and participant_id do not change'); END;

-- The seal. One chain without a gap or overlap, and every transaction in the block balanced in every currency.
CREATE TRIGGER blocks_seal_what_they_say BEFORE INSERT ON blocks
BEGIN
    -- First: what is checked below cannot change behind the check, whatever other triggers do to this block.
    UPDATE open_batch SET frozen = 1;

    SELECT RAISE(ABORT, 'blocks: does not begin with the open batch')
    WHERE (NEW.id, NEW.first_transaction_id, NEW.first_entry_id, 1)
      IS NOT (SELECT id, first_transaction_id, first_entry_id, frozen FROM open_batch);

    SELECT RAISE(ABORT, 'blocks: does not name a key of signers')
    WHERE NOT EXISTS (SELECT 1 FROM signers WHERE id = NEW.key_id);

    SELECT RAISE(ABORT, 'blocks: the first block follows a hash of zeros')
    WHERE NEW.id = 1 AND NEW.prev_hash <> zeroblob(32);

    SELECT RAISE(ABORT, 'blocks: does not follow the block before it')
    WHERE NEW.id > 1 AND NOT EXISTS (
        SELECT 1 FROM blocks WHERE id = NEW.id - 1 AND hash = NEW.prev_hash AND at <= NEW.at);

    SELECT RAISE(ABORT, 'blocks: does not end at the newest transaction and entry')
    WHERE NEW.last_transaction_id IS NOT (SELECT max(id) FROM transactions)
       OR NEW.last_entry_id IS NOT (SELECT max(NEW.first_entry_id - 1, coalesce(max(id), 0)) FROM transaction_ledger);

    SELECT RAISE(ABORT, 'blocks: a transaction in its range names another block')
    WHERE NEW.last_transaction_id - NEW.first_transaction_id + 1 <> (
        SELECT count(*) FROM transactions
        WHERE id BETWEEN NEW.first_transaction_id AND NEW.last_transaction_id AND block_id = NEW.id);

    SELECT RAISE(ABORT, 'blocks: an entry in its range names another block, or a transaction of another block')
    WHERE NEW.last_entry_id - NEW.first_entry_id + 1 <> (
        SELECT count(*) FROM transaction_ledger
        WHERE id BETWEEN NEW.first_entry_id AND NEW.last_entry_id AND block_id = NEW.id
          AND transaction_id BETWEEN NEW.first_transaction_id AND NEW.last_transaction_id);

    SELECT RAISE(ABORT, 'blocks: an entry in its range is in another currency than its holder, or has none')
    WHERE EXISTS (
        SELECT 1 FROM transaction_ledger AS entry LEFT JOIN users ON users.id = entry.user_id
        WHERE entry.id BETWEEN NEW.first_entry_id AND NEW.last_entry_id
          AND users.currency IS NOT entry.currency);

    SELECT RAISE(ABORT, 'blocks: a bet in its range belongs to no transaction of a bet')
    WHERE EXISTS (
        SELECT 1 FROM bets LEFT JOIN transactions ON transactions.id = bets.transaction_id
        WHERE bets.transaction_id >= NEW.first_transaction_id AND transactions.kind IS NOT 'BET');

    SELECT RAISE(ABORT, 'blocks: a hold in its range is not what its transaction says, or of no such wallet')
    WHERE EXISTS (
        SELECT 1 FROM holds
        WHERE holds.id >= NEW.first_transaction_id AND NOT EXISTS (
            SELECT 1 FROM transactions, users
            WHERE transactions.id = holds.id AND transactions.kind = 'HOLD'
              AND json_extract(transactions.answer, '$.hold.id', '$.hold.state', '$.hold.left_minor')
                = json_array(holds.id, 'open', holds.amount)
              AND users.id = holds.user_id AND users.kind = 'player' AND users.currency = holds.currency));

    SELECT RAISE(ABORT, 'blocks: the entries of a transaction do not sum to zero')
    WHERE EXISTS (
        SELECT 1 FROM transaction_ledger
        WHERE id BETWEEN NEW.first_entry_id AND NEW.last_entry_id
        GROUP BY transaction_id, currency HAVING sum(amount) <> 0);
END;
CREATE TRIGGER blocks_end_their_batch AFTER INSERT ON blocks
BEGIN DELETE FROM open_batch WHERE id = NEW.id; END;

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
