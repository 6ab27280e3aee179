-- Schema 1. Expand-only from here on: a later migration adds tables, columns with a default, and indexes; it
-- never changes the meaning of what is here, so that the version before it still works on the same file.
--
-- Words (status, state, kind) are text without CHECK: a new word must not need a rebuilt table.
-- Times: wall times are milliseconds since 1970 (UTC), mono times milliseconds since the boot that stands beside.
-- Tables with small rows that are read by key are WITHOUT ROWID; where rows are long or their order of arrival
-- matters (rowid), they are not.

CREATE TABLE schema_version (
    number  INTEGER NOT NULL PRIMARY KEY,
    major   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    wall    INTEGER NOT NULL
) STRICT;

-- One row a start of the daemon. `last_wall` is the newest time that was sure: the clock's floor after a boot
-- without one.
CREATE TABLE boot (
    number       INTEGER NOT NULL PRIMARY KEY,
    boot         TEXT NOT NULL,
    version      TEXT NOT NULL,
    started_mono INTEGER NOT NULL,
    started_wall INTEGER NOT NULL,
    wall_sure    INTEGER NOT NULL,
    last_mono    INTEGER NOT NULL,
    last_wall    INTEGER,
    clean        INTEGER NOT NULL
) STRICT;

CREATE TABLE conversation (
    shop_id TEXT NOT NULL,
    id      TEXT NOT NULL,
    person  TEXT NOT NULL,
    state   TEXT NOT NULL,
    ticket  INTEGER NOT NULL,
    active  INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX conversation_person ON conversation (shop_id, person);
CREATE INDEX conversation_ticket ON conversation (shop_id, ticket);

CREATE TABLE message (
    shop_id         TEXT NOT NULL,
    id              TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    direction       TEXT NOT NULL,
    line_id         TEXT,
    peer            TEXT NOT NULL,
    body            TEXT NOT NULL,
    status          TEXT NOT NULL,
    source          TEXT NOT NULL,
    execution_sid   TEXT,
    note            TEXT,
    created         INTEGER NOT NULL,
    wall_sure       INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    sent_at         INTEGER,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX message_created ON message (shop_id, created);
CREATE INDEX message_conversation ON message (shop_id, conversation_id, created);
CREATE INDEX message_peer ON message (shop_id, peer, created);
CREATE INDEX message_status ON message (shop_id, status, created);
CREATE INDEX message_open ON message (shop_id, id) WHERE status IN ('queued', 'sending', 'unknown');

-- One PDU of an outgoing message.
CREATE TABLE part (
    shop_id    TEXT NOT NULL,
    message_id TEXT NOT NULL,
    number     INTEGER NOT NULL,
    pdu        TEXT NOT NULL,
    length     INTEGER NOT NULL,
    state      TEXT NOT NULL,
    line_id    TEXT,
    reference  INTEGER,
    attempts   INTEGER NOT NULL,
    note       TEXT,
    updated    INTEGER NOT NULL,
    PRIMARY KEY (shop_id, message_id, number),
    FOREIGN KEY (shop_id, message_id) REFERENCES message (shop_id, id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
CREATE INDEX part_open ON part (state, updated) WHERE state IN ('queued', 'handed', 'unknown', 'sent');

-- A PDU as it came, and the slot that must be freed. Not bound to message by a foreign key: a PDU outlives
-- the text that it made when that is erased.
CREATE TABLE received (
    shop_id          TEXT NOT NULL,
    id               TEXT NOT NULL,
    line_id          TEXT NOT NULL,
    identity         TEXT NOT NULL,
    mem              TEXT NOT NULL,
    slot             INTEGER NOT NULL,
    raw              TEXT NOT NULL,
    kind             TEXT NOT NULL,
    message_id       TEXT,
    concat_peer      TEXT,
    concat_reference INTEGER,
    concat_wide      INTEGER,
    concat_total     INTEGER,
    concat_number    INTEGER,
    freed            INTEGER NOT NULL,
    note             TEXT,
    wall             INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX received_unfreed ON received (shop_id, line_id, identity, mem, slot) WHERE freed = 0;
CREATE INDEX received_waiting ON received (shop_id, id) WHERE kind = 'part' AND message_id IS NULL;
CREATE INDEX received_broken ON received (shop_id, wall) WHERE kind = 'broken';
CREATE INDEX received_message ON received (shop_id, message_id) WHERE message_id IS NOT NULL;

CREATE TABLE execution (
    shop_id         TEXT NOT NULL,
    sid             TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    flow            TEXT NOT NULL,
    revision        INTEGER NOT NULL,
    ended           TEXT,
    state           TEXT NOT NULL,
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    PRIMARY KEY (shop_id, sid)
) STRICT;
CREATE INDEX execution_active ON execution (shop_id, sid) WHERE ended IS NULL;
CREATE INDEX execution_conversation ON execution (shop_id, conversation_id, created);

CREATE TABLE step (
    shop_id       TEXT NOT NULL,
    execution_sid TEXT NOT NULL,
    number        INTEGER NOT NULL,
    event         TEXT NOT NULL,
    from_widget   TEXT NOT NULL,
    to_widget     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    delta         TEXT NOT NULL,
    note          TEXT,
    wall          INTEGER NOT NULL,
    PRIMARY KEY (shop_id, execution_sid, number),
    FOREIGN KEY (shop_id, execution_sid) REFERENCES execution (shop_id, sid) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

-- Values over 1 KiB of execution.state and step.delta, once each. `hash` is SHA-256 of `value`.
CREATE TABLE blob (
    shop_id TEXT NOT NULL,
    hash    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (shop_id, hash)
) STRICT;

-- Waits. `wall` is NULL when the clock was not sure.
CREATE TABLE timer (
    shop_id      TEXT NOT NULL,
    id           TEXT NOT NULL,
    deadline     INTEGER NOT NULL,
    boot         TEXT NOT NULL,
    remaining_ms INTEGER NOT NULL,
    wall         INTEGER,
    PRIMARY KEY (shop_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE dealer_order (
    shop_id         TEXT NOT NULL,
    id              TEXT NOT NULL,
    kind            TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    execution_sid   TEXT NOT NULL,
    state           TEXT NOT NULL,
    settled         INTEGER NOT NULL,
    body            TEXT NOT NULL,
    about           TEXT NOT NULL,
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX dealer_order_state ON dealer_order (shop_id, state, created);
CREATE INDEX dealer_order_created ON dealer_order (shop_id, created);
CREATE INDEX dealer_order_open ON dealer_order (shop_id, id) WHERE settled = 0;

CREATE TABLE cached (
    shop_id   TEXT NOT NULL,
    key       TEXT NOT NULL,
    status    INTEGER NOT NULL,
    body      TEXT NOT NULL,
    wall      INTEGER NOT NULL,
    wall_sure INTEGER NOT NULL,
    mono      INTEGER NOT NULL,
    boot      TEXT NOT NULL,
    PRIMARY KEY (shop_id, key)
) STRICT;

CREATE TABLE consent (
    shop_id    TEXT NOT NULL,
    number     INTEGER NOT NULL,
    person     TEXT NOT NULL,
    line_id    TEXT NOT NULL,
    blocked    INTEGER NOT NULL,
    words      TEXT NOT NULL,
    message_id TEXT NOT NULL,
    wall       INTEGER NOT NULL,
    wall_sure  INTEGER NOT NULL,
    PRIMARY KEY (shop_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_person ON consent (shop_id, person, number);
CREATE TRIGGER consent_no_update BEFORE UPDATE ON consent
BEGIN SELECT RAISE(ABORT, 'the consent log is append-only'); END;
CREATE TRIGGER consent_no_delete BEFORE DELETE ON consent
BEGIN SELECT RAISE(ABORT, 'the consent log is append-only'); END;

-- What the consent log comes to: who hears nothing more.
CREATE TABLE block (
    shop_id TEXT NOT NULL,
    person  TEXT NOT NULL,
    wall    INTEGER NOT NULL,
    PRIMARY KEY (shop_id, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    shop_id TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    by      TEXT NOT NULL,
    wall    INTEGER NOT NULL,
    PRIMARY KEY (shop_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE flow (
    shop_id    TEXT NOT NULL,
    name       TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    sid        TEXT NOT NULL,
    definition TEXT NOT NULL,
    published  INTEGER NOT NULL,
    by         TEXT NOT NULL,
    wall       INTEGER NOT NULL,
    PRIMARY KEY (shop_id, name, revision)
) STRICT;
CREATE UNIQUE INDEX flow_published ON flow (shop_id, name) WHERE published = 1;

CREATE TABLE audit (
    shop_id TEXT NOT NULL,
    number  INTEGER NOT NULL,
    who     TEXT NOT NULL,
    what    TEXT NOT NULL,
    detail  TEXT NOT NULL,
    wall    INTEGER NOT NULL,
    PRIMARY KEY (shop_id, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is not rewritten'); END;
