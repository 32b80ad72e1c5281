-- The wallet of schema.sql in the terms of PostgreSQL 18, for bench/postgres.py: same rows, same guard, same
-- idempotency key, two entries a bet, one hot row of the house. Where the two could differ, PostgreSQL has
-- the lighter load: no blocks and no hash chain, no append-only triggers, no foreign keys, and one function
-- call a bet, so that nothing waits for a client while the house's row is locked.

CREATE TABLE users (
    id            bigint PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('player', 'house', 'cash')),
    currency      text NOT NULL CHECK (length(currency) = 3),
    status        text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'blocked', 'closed')),
    balance       bigint NOT NULL DEFAULT 0,
    held          bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    floor         bigint NOT NULL DEFAULT 0 CHECK (floor <= 0),
    version       bigint NOT NULL DEFAULT 0,
    last_entry_id bigint NOT NULL DEFAULT 0,
    CONSTRAINT available_is_not_negative CHECK (balance - held - floor >= 0)
) WITH (fillfactor = 50); -- half of each page stays free for new versions of its rows: no index is touched

CREATE SEQUENCE transaction_ids;
CREATE SEQUENCE entry_ids;

CREATE TABLE transactions (
    id          bigint PRIMARY KEY,
    kind        text NOT NULL,
    scope       text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    answer      text NOT NULL,
    UNIQUE (scope, key)
);

-- As in schema.sql, prev_id chains an account's entries instead of an index by user.
CREATE TABLE transaction_ledger (
    id             bigint PRIMARY KEY,
    user_id        bigint NOT NULL,
    currency       text NOT NULL,
    amount         bigint NOT NULL CHECK (amount <> 0),
    balance_after  bigint NOT NULL,
    ref_type       text NOT NULL,
    ref_id         text NOT NULL,
    transaction_id bigint NOT NULL,
    prev_id        bigint NOT NULL
);

CREATE TABLE bets (
    transaction_id bigint PRIMARY KEY,
    user_id        bigint NOT NULL,
    currency       text NOT NULL,
    stake          bigint NOT NULL CHECK (stake > 0),
    state          text NOT NULL DEFAULT 'confirmed',
    payout         bigint NOT NULL DEFAULT 0
);

-- Places one bet and returns the id of its transaction, or NULL for a player who is unknown, blocked or short
-- of money. A known bet_id raises unique_violation: nothing has happened, and the client reads the first answer.
CREATE FUNCTION place_bet(bet_id text, player_id bigint, stake_minor bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    placed_id bigint := nextval('transaction_ids');
    player    record;
    house     record;
BEGIN
    UPDATE users
    SET balance = balance - stake_minor, version = version + 1, last_entry_id = nextval('entry_ids')
    WHERE id = player_id AND kind = 'player' AND status = 'open' AND balance - held - floor >= stake_minor
    RETURNING currency, balance, held, last_entry_id, old.last_entry_id AS prev_id INTO player;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO transactions (id, kind, scope, key, fingerprint, answer)
    VALUES (placed_id, 'BET', 'bet', bet_id,
            sha256(convert_to(concat_ws(':', player_id, stake_minor, player.currency), 'UTF8')),
            format('{"seq":%s,"balance_minor":%s,"held_minor":%s,"available_minor":%s}',
                   player.last_entry_id, player.balance, player.held, player.balance - player.held));
    INSERT INTO transaction_ledger
    VALUES (player.last_entry_id, player_id, player.currency, -stake_minor, player.balance, 'BET', bet_id,
            placed_id, player.prev_id);
    INSERT INTO bets (transaction_id, user_id, currency, stake)
    VALUES (placed_id, player_id, player.currency, stake_minor);

    -- The house last: everybody waits for this row from here to the end of COMMIT.
    UPDATE users
    SET balance = balance + stake_minor, version = version + 1, last_entry_id = nextval('entry_ids')
    WHERE id = 1
    RETURNING balance, last_entry_id, old.last_entry_id AS prev_id INTO house;
    INSERT INTO transaction_ledger
    VALUES (house.last_entry_id, 1, player.currency, stake_minor, house.balance, 'BET', bet_id,
            placed_id, house.prev_id);
    RETURN placed_id;
END
$$;

-- The house (1), the cash book (2) and so many players (from 3), whose opening balances are deposits.
CREATE PROCEDURE seed(players bigint, balance_minor bigint) LANGUAGE sql AS $$
    INSERT INTO users (id, kind, currency, floor, balance, version, last_entry_id)
    VALUES (1, 'house', 'EUR', -(2::bigint ^ 62)::bigint, 0, 0, 0),
           (2, 'cash', 'EUR', -(2::bigint ^ 62)::bigint, -players * balance_minor, players, 2 * players);
    INSERT INTO users (id, kind, currency, balance, version, last_entry_id)
    SELECT n + 2, 'player', 'EUR', balance_minor, 1, 2 * n - 1 FROM generate_series(1, players) AS n;
    INSERT INTO transactions
    SELECT nextval('transaction_ids'), 'DEPOSIT', 'cli:deposit', 'opening:' || n + 2,
           sha256(convert_to((n + 2)::text, 'UTF8')), '{}'
    FROM generate_series(1, players) AS n;
    INSERT INTO transaction_ledger
    SELECT 2 * n - 1, n + 2, 'EUR', balance_minor, balance_minor, 'DEPOSIT', n::text, n, 0
    FROM generate_series(1, players) AS n
    UNION ALL
    SELECT 2 * n, 2, 'EUR', -balance_minor, -n * balance_minor, 'DEPOSIT', n::text, n, 2 * n - 2
    FROM generate_series(1, players) AS n;
    SELECT setval('entry_ids', 2 * players);
$$;

-- What is wrong with the books when `confirmed` bets were confirmed: a line for each finding, none when all is well.
CREATE FUNCTION findings(confirmed bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('balance of user %s: %s, his entries sum to %s', coalesce(id, user_id), balance, total)
    FROM users FULL JOIN (SELECT user_id, sum(amount) AS total FROM transaction_ledger GROUP BY user_id) AS sums
      ON user_id = id
    WHERE balance IS DISTINCT FROM coalesce(total, 0)
    UNION ALL
    SELECT format('the ledger sums to %s %s', sum(amount), currency)
    FROM transaction_ledger GROUP BY currency HAVING sum(amount) <> 0
    UNION ALL
    SELECT format('transaction %s: %s entries that sum to %s', transaction_id, count(*), sum(amount))
    FROM transaction_ledger GROUP BY transaction_id HAVING sum(amount) <> 0 OR count(*) <> 2
    UNION ALL
    SELECT format('%s bets confirmed, %s in %s', confirmed, found, place)
    FROM (SELECT 'transactions' AS place, count(*) AS found FROM transactions WHERE kind = 'BET'
          UNION ALL SELECT 'bets', count(*) FROM bets
          UNION ALL SELECT 'transaction_ledger', count(DISTINCT ref_id) FROM transaction_ledger WHERE ref_type = 'BET'
         ) AS counts
    WHERE found <> confirmed
$$;
