-- Schema 4: up to which entry of the consent ledger each upstream was told. Adds only: the version before does not look at
-- it, and what it enters meanwhile has higher numbers.

CREATE TABLE consents_told (
    shop_id TEXT NOT NULL,
    line_id TEXT NOT NULL,
    -- For which number or service of ours: another one knows nothing yet.
    sender  TEXT NOT NULL,
    entry   INTEGER NOT NULL,
    -- Where the ledger ended when telling began: no release up to there is told, the upstream may know better.
    began   INTEGER NOT NULL,
    PRIMARY KEY (shop_id, line_id)
) STRICT, WITHOUT ROWID;
