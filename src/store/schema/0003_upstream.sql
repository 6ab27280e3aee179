-- Schema 3: texts over an upstream, consent as a chain, the box's own events. Adds only: the version before works on the
-- same file, writes rows without the new columns, and does not look at the new tables.

ALTER TABLE message ADD COLUMN channel TEXT NOT NULL DEFAULT 'sms';
-- JSON of `messaging::ledger::Purpose`; NULL is a reply.
ALTER TABLE message ADD COLUMN purpose TEXT;
-- The id that the upstream gave, or was told by.
ALTER TABLE message ADD COLUMN upstream_sid TEXT;
-- Why this line.
ALTER TABLE message ADD COLUMN choice TEXT;
ALTER TABLE message ADD COLUMN error INTEGER;
-- Millionths of the currency's unit.
ALTER TABLE message ADD COLUMN price INTEGER;
ALTER TABLE message ADD COLUMN currency TEXT;
ALTER TABLE message ADD COLUMN media INTEGER NOT NULL DEFAULT 0;
-- A template in place of free words: JSON of its id and variables.
ALTER TABLE message ADD COLUMN template TEXT;
-- Not before this (quiet hours).
ALTER TABLE message ADD COLUMN not_before INTEGER;
CREATE UNIQUE INDEX message_upstream ON message (shop_id, upstream_sid) WHERE upstream_sid IS NOT NULL;

-- Up to when everything at an upstream was taken over.
CREATE TABLE upstream_cursor (
    shop_id TEXT NOT NULL,
    line_id TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (shop_id, line_id)
) STRICT, WITHOUT ROWID;

-- Files of texts that came in.
CREATE TABLE media (
    shop_id      TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    number       INTEGER NOT NULL,
    line_id      TEXT NOT NULL,
    url          TEXT NOT NULL,
    content_type TEXT NOT NULL,
    state        TEXT NOT NULL,
    note         TEXT,
    size         INTEGER NOT NULL,
    bytes        BLOB,
    updated      INTEGER NOT NULL,
    PRIMARY KEY (shop_id, message_id, number)
) STRICT;
CREATE INDEX media_wanted ON media (shop_id) WHERE state = 'wanted';

-- What anybody said about being texted: append-only, chained by hash, kept seven years. `statement` is
-- `messaging::ledger::Statement` as JSON.
CREATE TABLE consent_entry (
    shop_id   TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    before    TEXT NOT NULL,
    link      TEXT NOT NULL,
    subject   TEXT NOT NULL,
    at        INTEGER NOT NULL,
    statement TEXT NOT NULL,
    PRIMARY KEY (shop_id, seq)
) STRICT;
CREATE INDEX consent_entry_subject ON consent_entry (shop_id, subject, seq);
-- Nobody changes or inserts before the end; entries leave from the front alone, when they are old enough.
CREATE TRIGGER consent_entry_fixed BEFORE UPDATE ON consent_entry
BEGIN SELECT RAISE(ABORT, 'consent entries are not changed'); END;

-- What the box tells others of its own events.
CREATE TABLE event_out (
    shop_id  TEXT NOT NULL,
    id       TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    state    TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    note     TEXT,
    -- Its number among the events of its endpoint.
    seq      INTEGER NOT NULL,
    -- When the day began for which it is tried; null when that clock was not sure.
    since    INTEGER,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX event_out_seq ON event_out (shop_id, endpoint, seq);
CREATE INDEX event_out_waiting ON event_out (shop_id, endpoint, seq) WHERE state = 'waiting';
CREATE INDEX event_out_dead ON event_out (shop_id, created) WHERE state = 'dead';
