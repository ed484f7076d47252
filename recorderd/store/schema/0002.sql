-- The catalogue: an index over calls/, made again from the call records at any time.
CREATE TABLE call (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    site        TEXT NOT NULL,
    line        TEXT NOT NULL,
    direction   TEXT NOT NULL,
    disposition TEXT NOT NULL,
    started_ns  INTEGER NOT NULL,  -- wall clock, nanoseconds since 1970, UTC
    ended_ns    INTEGER,
    number      TEXT,
    name        TEXT,
    absence     TEXT,
    dialled     TEXT,
    folder      TEXT NOT NULL,     -- relative to the state directory
    record      TEXT NOT NULL,     -- the call record with its amendments, JSON
    -- What retention asks for; an erased call's record is the text that stays of it.
    is_erased   INTEGER AS (json_type(record, '$.erased') IS NOT NULL) VIRTUAL,
    retention   TEXT AS (json_extract(record, '$.retention')) VIRTUAL,
    box_time_s  INTEGER AS (json_extract(record, '$.clock.box_time_s')) VIRTUAL
) STRICT;
CREATE INDEX call_by_time ON call (started_ns, id);
CREATE INDEX call_by_class ON call (is_erased, retention, box_time_s, id);
CREATE INDEX call_by_age ON call (is_erased, box_time_s, id);
-- Of calls whose times are still to be amended; few, and every start asks for them.
CREATE INDEX call_of_wrong_clock ON call (started_ns, id)
    WHERE NOT json_extract(record, '$.clock.synchronised');

-- The numbers of a call as they are searched for (core/numbers.py), newest call last.
CREATE TABLE number_key (
    key        TEXT NOT NULL,
    started_ns INTEGER NOT NULL,   -- of the call
    seq        INTEGER NOT NULL,   -- of the call
    PRIMARY KEY (key, started_ns, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX number_key_by_call ON number_key (seq);
