"""Every rule of schema.sql is needed: without it, an attack succeeds.

The schema is read as text and weakened in one place at a time: a trigger, one condition or one check of a
trigger, one of the things that it looks for, a CHECK, a NOT NULL, a key, STRICT. A rule that nothing attacks,
or that does nothing, survives here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from tests.books import ENGINE_PRAGMAS, SCHEMA, SQLITE_DEFAULTS, Attack, attempt, content
from tests.books_archive import open_history
from tests.schema_attacks import ATTACKS, STOPPED_BY_FOREIGN_KEYS

OF_TRANSACTIONS = "blocks_seal_what_they_say (blocks: a transaction in its range names another block) without"
OF_ENTRIES = (
    "blocks_seal_what_they_say (blocks: an entry in its range names another block, or a transaction of "
    "another block) without"
)
BET_STATES = ("confirmed", "won", "lost", "void", "cashed_out", "rolled_back")
HOLD_STATES = ("open", "captured", "released", "expired")
BONUS_STATES = ("open", "expired")
FREE_BET_STATES = ("open", "used", "revoked", "expired")
PAYOUT_STATES = ("collecting", "paying", "paid")
ARCHIVE_STATES = ("copying", "moving")
ITEM_STATES = ("suspended", "paid", "returned")


def _any_of(column: str, values: tuple[str, ...]) -> str:
    return " OR ".join(f"{column} = '{value}'" for value in values)


# Rules that another rule holds as well, by that rule. Each is kept as a second lock, or for the reader.
SURVIVORS_BY_REASON: dict[str, list[str]] = {
    "transactions_only_grow looks the key up, fast by this index": ["transactions: UNIQUE (scope, key)"],
    "users_begin_empty looks the book up, fast by this index": ["users: one_book_of_a_kind"],
    "the seal: it begins after the last entry and ends at the newest": [
        "blocks: CHECK last_entry_id >= first_entry_id - 1",
        "blocks: last_transaction_id NOT NULL",
        "blocks: last_entry_id NOT NULL",
    ],
    "the seal: it begins with the open batch": [
        "blocks: first_transaction_id NOT NULL",
        "blocks: first_entry_id NOT NULL",
    ],
    "open_batch_follows_the_newest_block compares with IS NOT": [
        "open_batch: first_transaction_id NOT NULL",
        "open_batch: first_entry_id NOT NULL",
    ],
    "an INTEGER PRIMARY KEY takes nothing but integers, the CHECK 0 and 1, the trigger the number to come": [
        "open_batch: STRICT"
    ],
    "the first batch begins at 1, and takes nothing before": ["transactions: CHECK id > 0"],
    "ledger_only_grows and transactions_only_grow find the open batch by it": [
        "transactions: block_id NOT NULL",
        "transaction_ledger: block_id NOT NULL",
        f"{OF_TRANSACTIONS} block_id = NEW.id",
        f"{OF_ENTRIES} block_id = NEW.id",
    ],
    "the seal counts the rows that name its block": [
        "transactions_only_grow without id = NEW.block_id",
        "ledger_only_grows without id = NEW.block_id",
    ],
    "only the rows in the range name the block; to look for them elsewhere would take ever longer": [
        f"{OF_TRANSACTIONS} id BETWEEN NEW.first_transaction_id AND NEW.last_transaction_id",
        f"{OF_ENTRIES} id BETWEEN NEW.first_entry_id AND NEW.last_entry_id",
    ],
    "the seal looks the holder up": ["transaction_ledger: user_id NOT NULL"],
    "the seal looks the key up": ["blocks: key_id NOT NULL"],
    "repairs_only_grow looks the account up": ["repairs: user_id NOT NULL"],
    "the seal: it equals the hash before it, or 32 zeros": ["blocks: CHECK length(prev_hash) = 32"],
    "the seal counts the entries of its own transactions": ["transaction_ledger: transaction_id NOT NULL"],
    "what a player does not have he cannot hold, and a book of the house holds nothing: CHECKs of users": [
        "users_begin_empty when NEW.held <> 0"
    ],
    "cashed_stake begins as 0, is no more than the stake, and all of it only where all is cashed out": [
        "bets: CHECK stake > 0"
    ],
    "bets_only_grow and bets_change_by_a_transaction name the states, and the transaction looked up": [
        f"bets: CHECK {_any_of('state', BET_STATES)}",
        "bets: state NOT NULL",
        "bets: last_transaction_id NOT NULL",
    ],
    "holds_only_grow and holds_change_by_a_transaction name the states, and the transaction looked up": [
        f"holds: CHECK {_any_of('state', HOLD_STATES)}",
        "holds: state NOT NULL",
        "holds: last_transaction_id NOT NULL",
    ],
    "a hold begins with all of it remaining: something, while it is open": [
        "holds: CHECK amount > 0",
        "holds: amount NOT NULL",
    ],
    "the triggers on bonuses name the states, compare the row with the answer, and look the rest up": [
        f"bonuses: CHECK {_any_of('state', BONUS_STATES)}",
        "bonuses: wallet_id NOT NULL",
        "bonuses: last_transaction_id NOT NULL",
        "bonuses: STRICT",
    ],
    "bonuses_only_grow looks the wallet up, fast by this index": ["bonuses: UNIQUE (wallet_id)"],
    "the triggers on free_bets name the states, and look up the wallet and the transaction": [
        f"free_bets: CHECK {_any_of('state', FREE_BET_STATES)}",
        "free_bets: user_id NOT NULL",
        "free_bets: currency NOT NULL",
        "free_bets: state NOT NULL",
        "free_bets: last_transaction_id NOT NULL",
    ],
    "the bet of a free bet is a row of bets, whose transaction is found fast by its scope and key": [
        "free_bets_pay_their_bet without placed.scope = 'bet'"
    ],
    "users_belong_to_participants looks the participant up": ["users: REFERENCES participants (id)"],
    "payouts_only_grow and payouts_change_by_a_transaction name the states, and the transaction looked up": [
        f"payouts: CHECK {_any_of('state', PAYOUT_STATES)}",
        "payouts: state NOT NULL",
        "payouts: last_transaction_id NOT NULL",
    ],
    "payouts_change_by_a_transaction counts the items, of which each is at least 1": [
        "payouts: CHECK items >= 0",
        "payouts: CHECK total >= items",
        "payouts: items NOT NULL",
        "payouts: total NOT NULL",
    ],
    "payout_items_only_grow begins at 0": ["payout_items: CHECK number >= 0"],
    "the key of a table WITHOUT ROWID takes no NULL": [
        "payout_items: payout_id NOT NULL",
        "payout_items: number NOT NULL",
        "suspended_items: payout_id NOT NULL",
        "suspended_items: number NOT NULL",
        "limits: user_id NOT NULL",
        "limits: kind NOT NULL",
        "limits: period NOT NULL",
    ],
    "the triggers on suspended_items name the states, compare the reason with the answer, look the rest up": [
        f"suspended_items: CHECK {_any_of('state', ITEM_STATES)}",
        "suspended_items: reason NOT NULL",
        "suspended_items: STRICT",
    ],
    "the entries of the open batch are counted, and the seal takes none of another's transactions": [
        "suspended_items_change_by_a_transaction without newest.block_id = open_batch.id"
    ],
    "the triggers on archives name the states, compare the row with the answer, and look the block up": [
        f"archives: CHECK {_any_of('state', ARCHIVE_STATES)}",
        "archives: block_id NOT NULL",
        "archives: upto_transaction_id NOT NULL",
        "archives: upto_entry_id NOT NULL",
        "archives: state NOT NULL",
        "archives: openings NOT NULL",
        "archives: carried NOT NULL",
        "archives: last_transaction_id NOT NULL",
    ],
    "audit_log_names_what_was_done looks the transaction up, fast by this index": [
        "audit_log: one_deed_of_a_transaction"
    ],
    "the seal looks the wallet of a hold up": ["holds: user_id NOT NULL", "holds: currency NOT NULL"],
}
TRIED_IN_VAIN = 75
"""Attacks with each of the two sets of pragmas, on a rule that none of them needs."""

HELD_TWICE = {rule for rules in SURVIVORS_BY_REASON.values() for rule in rules}


def _one_line(sql: str) -> str:
    return " ".join(sql.split())


def _closing(text: str, start: int) -> int:
    """Where the bracket closes that opens at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise AssertionError("a bracket that nothing closes")


def _alternatives(condition: str, offset: int) -> Iterator[tuple[int, int]]:
    """The spans between the ORs of a condition that stand in no bracket; none if there is no OR."""
    depth, begin, spans = 0, 0, []
    for token in re.finditer(r"[()]|\bOR\b", condition):
        if token[0] == "OR" and depth == 0:
            spans.append((begin, token.start()))
            begin = token.end()
        depth += {"(": 1, ")": -1}.get(token[0], 0)
    if spans:
        yield from ((offset + a, offset + b) for a, b in [*spans, (begin, len(condition))])


def _conjuncts(condition: str, offset: int) -> Iterator[tuple[int, int]]:
    """The spans of what ANDs join in a condition outside of brackets; the AND of a BETWEEN joins nothing."""
    depth = begin = 0
    for token in re.finditer(r"[()]|\bBETWEEN\b.*?\bAND\b|\bAND\b", condition, re.DOTALL):
        if token[0] == "AND" and depth == 0:
            yield offset + begin, offset + token.start()
            begin = token.end()
        depth += {"(": 1, ")": -1}.get(token[0], 0)
    yield offset + begin, offset + len(condition)


def _weakened_triggers(schema: str) -> Iterator[tuple[str, str]]:
    def cut(start: int, end: int, by: str = "") -> str:
        return schema[:start] + by + schema[end:]

    for trigger in re.finditer(r"CREATE TRIGGER (\w+).*?END;", schema, re.DOTALL):
        name, (start, end) = trigger[1], trigger.span()
        yield name, cut(start, end)
        # Every condition of it: WHEN … BEGIN, and WHERE … of each statement that raises.
        for guard in re.finditer(r"\bWHEN\b(.*?)\bBEGIN\b|\bWHERE\b(.*?);", trigger[0], re.DOTALL):
            group = 1 if guard[1] is not None else 2
            word = "when" if group == 1 else "where"
            for a, b in _alternatives(guard[group], start + guard.start(group)):
                yield f"{name} {word} {_one_line(schema[a:b])}", cut(a, b, " 0 ")
        for check in re.finditer(r"SELECT RAISE\(ABORT, '([^']*)'\)\s+WHERE\b.*?;", trigger[0], re.DOTALL):
            yield f"{name} raises {check[1]}", cut(start + check.start(), start + check.end())
        # What a row must be for the trigger to let go of the new one: look for less, and it lets more pass.
        for wanted in re.finditer(r"NOT EXISTS \(|<> \(\s*SELECT count", trigger[0]):
            opens = start + trigger[0].index("(", wanted.start())
            where = schema.index("WHERE", opens) + len("WHERE")
            message = re.findall(r"RAISE\(ABORT,\s*'([^']*)'", schema[start:opens])
            for a, b in _conjuncts(schema[where : _closing(schema, opens)], where):
                told = f" ({message[-1]})" if message else ""
                yield f"{name}{told} without {_one_line(schema[a:b])}", cut(a, b, " 1 ")
        # Which state a kind of transaction leads to: let it lead to any.
        for arm in re.finditer(r"WHEN ('\w+') THEN (.+?)(?=\s+(?:WHEN|END)\b)", trigger[0]):
            yield f"{name} for {arm[1]}", cut(start + arm.start(2), start + arm.end(2), "NEW.state")


def _weakened_tables(schema: str) -> Iterator[tuple[str, str]]:
    for table in re.finditer(r"CREATE TABLE (\w+) \((.*?)\n\) STRICT[^;]*;", schema, re.DOTALL):
        name, text, offset = table[1], table[0], table.start()

        def cut(start: int, end: int, by: str, offset: int = offset) -> str:
            return schema[: offset + start] + by + schema[offset + end :]

        for check in re.finditer(r"CHECK \(", text):
            opens, closes = check.end() - 1, _closing(text, check.end() - 1)
            condition = text[opens + 1 : closes]
            yield f"{name}: CHECK {_one_line(condition)}", cut(opens, closes + 1, "(1)")
        for column in re.finditer(r"(\w+) +(?:INTEGER|TEXT|BLOB) (NOT NULL)", text):
            yield f"{name}: {column[1]} NOT NULL", cut(column.start(2), column.end(2), "")
        for rule in re.finditer(r"REFERENCES \w+ \(\w+\)(?: DEFERRABLE INITIALLY DEFERRED)?", text):
            yield f"{name}: {rule[0]}", cut(rule.start(), rule.end(), "")
        for rule in re.finditer(r",\s+(UNIQUE \([^)]*\))", text):
            yield f"{name}: {rule[1]}", cut(rule.start(), rule.end(), "")
        strict = text.rindex("STRICT")
        yield f"{name}: STRICT", cut(strict, len(text) - 1, text[strict + 6 : -1].lstrip(","))
    for index in re.finditer(r"CREATE UNIQUE INDEX (\w+) ON (\w+).*?;", schema, re.DOTALL):
        yield f"{index[2]}: {index[1]}", schema[: index.start()] + schema[index.end() :]


# Without comments, in which the words of SQL are just words.
PLAIN = re.sub(r"--.*", "", SCHEMA)
MUTANTS = [*_weakened_triggers(PLAIN), *_weakened_tables(PLAIN)]


WORDS: dict[str, list[str]] = {
    name: re.findall(r"RAISE\(ABORT,\s*'([^']+)'", body)
    for name, body in re.findall(r"CREATE TRIGGER (\w+) (.*?END;)", PLAIN, re.DOTALL)
}
"""What each trigger says."""

TABLES: dict[str, str] = dict(
    re.findall(r"CREATE TRIGGER (\w+) (?:BEFORE|AFTER) \w+(?: OF [\w, ]+)? ON (\w+)", PLAIN)
)
"""Whose trigger it is."""


def _first_success(rule: str, schema: str) -> str | None:
    """The first attack that goes through on a file with this schema, and changes it. Those come first that
    are refused in the words of the rule, or name its table: most rules are needed by one of them. Of a rule
    that is held twice, only the first of those are tried.
    """
    name = re.split(r"\W", rule, maxsplit=1)[0]
    table, words = TABLES.get(name, name), WORDS.get(name, [rule.partition("CHECK ")[2]])

    def is_near(attack: Attack) -> bool:
        return any(attack.words in said or said in attack.words for said in words if said)

    for pragmas, stopped in [(SQLITE_DEFAULTS, ATTACKS), (ENGINE_PRAGMAS, ATTACKS + STOPPED_BY_FOREIGN_KEYS)]:
        files: dict[int, tuple[sqlite3.Connection, list[str]]] = {}
        attacks = sorted(stopped, key=lambda each: (not is_near(each), table not in each.sql))
        if rule in HELD_TWICE:
            attacks = [each for each in attacks if is_near(each) or table in each.sql][:TRIED_IN_VAIN]
        for attack in attacks:
            if attack.blocks not in files:
                try:
                    history = open_history(pragmas, schema=schema, blocks=attack.blocks)
                except sqlite3.IntegrityError as error:
                    return f"not even the books can be written: {error}"
                files[attack.blocks] = history, content(history)
            # An attack that fails changes nothing, as test_schema.py shows, so the file serves the next one.
            db, before = files[attack.blocks]
            if attempt(db, attack.sql) is None and content(db) != before:
                return attack.name
    return None


@pytest.mark.parametrize(("rule", "weakened"), MUTANTS, ids=[rule for rule, _ in MUTANTS])
def test_without_this_rule_an_attack_succeeds(rule: str, weakened: str) -> None:
    success = _first_success(rule, weakened)

    assert (success is None) == (rule in HELD_TWICE), success or "no attack needs this rule"


def test_every_rule_of_the_schema_is_weakened_once() -> None:
    """The reader of SQL above is a small one: count what it found with plain words."""
    rules = [rule for rule, _ in MUTANTS]
    assert len(rules) == len(set(rules))
    assert set(rules) >= HELD_TWICE
    whole = [rule for rule in rules if re.fullmatch(r"\w+", rule)]
    assert len(whole) == PLAIN.count("CREATE TRIGGER")
    assert sum(": CHECK " in rule for rule in rules) == PLAIN.count("CHECK (")
    not_null = PLAIN.count("NOT NULL") - PLAIN.count("IS NOT NULL")
    assert sum(bool(re.search(r": \w+ NOT NULL$", rule)) for rule in rules) == not_null
    assert sum(": REFERENCES " in rule for rule in rules) == PLAIN.count("REFERENCES")
    assert sum(rule.endswith(": STRICT") for rule in rules) == PLAIN.count("CREATE TABLE")
    assert sum(" for '" in rule for rule in rules) == PLAIN.count("' THEN ")
    # The seal and a step of an archive raise for many reasons, the end of a batch for none, every other
    # trigger for one.
    assert sum(" raises " in rule for rule in rules) == PLAIN.count("SELECT RAISE") - (len(whole) - 3)
