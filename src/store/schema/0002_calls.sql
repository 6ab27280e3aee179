-- Schema 2: calls. Adds tables only; the version before works on the same file and does not look at them.

-- One row a call. `record` is the whole of it, of the form that `version` names; the other columns are what one
-- searches by. `number` is the outside number: who called, or who was called.
CREATE TABLE call (
    shop_id   TEXT NOT NULL,
    id        TEXT NOT NULL,
    direction TEXT NOT NULL,
    line_id   TEXT,
    number    TEXT,
    started   INTEGER NOT NULL,
    wall_sure INTEGER NOT NULL,
    ended     INTEGER,
    cause     TEXT,
    emergency INTEGER NOT NULL,
    charged   INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    record    TEXT NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX call_started ON call (shop_id, started);
CREATE INDEX call_number ON call (shop_id, number, started) WHERE number IS NOT NULL;
CREATE INDEX call_open ON call (shop_id, id) WHERE ended IS NULL;
-- What a day's caps are counted from after a restart: calls that went out over a line.
CREATE INDEX call_charged ON call (started) WHERE charged = 1;

-- Where a registered phone is reached, so that it rings also right after a restart.
CREATE TABLE phone_binding (
    shop_id   TEXT NOT NULL,
    device_id TEXT NOT NULL,
    contacts  TEXT NOT NULL,
    updated   INTEGER NOT NULL,
    PRIMARY KEY (shop_id, device_id)
) STRICT, WITHOUT ROWID;
