"""The layout of a recording: its tables, the views for people's own SQL, and how older layouts are brought up to date.

One row of ``rows`` is one record that is not a call. An event's calls are packed into its row, as text that JSON
functions and NumPy both read after one step: ``'[' || calls || ']'`` is a JSON array of integers. With the plan's
layout ``chain`` they are durations, one a call, in the plan's order; with ``spans`` they are triples of site, start
after the event's start, and duration. A duration of -1 had not ended when the row was last written. ``notes`` is a
JSON object, empty text where there is nothing to say: under a call's index, and under ``self`` for the row's own
record, what is worth saying of it (outcome, reason, result, error). ``blocks`` holds the further blocks of seqs that
an event of more than 1,023 calls takes: first seq, event, and which block of the event's it is, its own being 0.
A plan's ``version`` is that of the events it is for, whose schema is the fact ``topic@version``; 0 is unknown.

There is no secondary index: ``time_ns`` never falls as ``seq`` rises, so a time is found by binary search.
"""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import sqlite3
from typing import Final

from plugbook.trace.record import BLOCK, KINDS, OUTCOMES

APPLICATION_ID: Final = 0x706C7562
"""What the header of every recording says it is: ``plub`` in ASCII."""

VERSION: Final = 2
"""The version of the layout, kept as SQLite's ``user_version``."""

TABLES: Final = """
CREATE TABLE rows(
  seq INTEGER PRIMARY KEY,
  time_ns INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  name INTEGER NOT NULL,
  plugin INTEGER NOT NULL,
  parent INTEGER,
  root INTEGER,
  duration_ns INTEGER,
  outcome INTEGER NOT NULL,
  place INTEGER NOT NULL,
  plan INTEGER,
  queued_ns INTEGER NOT NULL,
  called INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  calls TEXT NOT NULL DEFAULT '',
  notes TEXT NOT NULL DEFAULT '',
  payload TEXT NOT NULL DEFAULT ''
);
CREATE TABLE names(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE plans(
  id INTEGER PRIMARY KEY,
  layout TEXT NOT NULL,
  sites TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE places(
  id INTEGER PRIMARY KEY,
  process INTEGER NOT NULL,
  thread TEXT NOT NULL,
  task TEXT NOT NULL,
  cell_count INTEGER,
  cell_id TEXT NOT NULL
);
CREATE TABLE blocks(first INTEGER PRIMARY KEY, event INTEGER NOT NULL, number INTEGER NOT NULL);
CREATE TABLE facts(
  what TEXT NOT NULL,
  name TEXT NOT NULL,
  seq INTEGER NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (what, name, seq)
) WITHOUT ROWID;
CREATE TABLE commits(
  id INTEGER PRIMARY KEY,
  first INTEGER,
  last INTEGER,
  changed TEXT NOT NULL DEFAULT '',
  spent_ns INTEGER NOT NULL
);
CREATE TABLE kinds(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE outcomes(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""

_FIRST = BLOCK - 1
"""The calls that fit into the event's own block."""

VIEWS: Final = f"""
CREATE VIEW events AS
SELECT r.seq, r.time_ns, n.text AS topic, p.text AS plugin, r.parent, coalesce(r.root, r.seq) AS root,
  o.text AS outcome, r.called AS calls, r.errors, r.duration_ns, r.queued_ns, r.payload,
  l.process, l.thread, l.task, l.cell_count AS cell
FROM rows r JOIN names n ON n.id = r.name JOIN names p ON p.id = r.plugin JOIN places l ON l.id = r.place
  JOIN outcomes o ON o.id = r.outcome
WHERE r.kind = 0;

CREATE VIEW packed AS
SELECT r.seq, r.time_ns + r.queued_ns AS start_ns, n.text AS topic, coalesce(r.root, r.seq) AS root, r.place,
  q.layout, q.sites, nullif(r.notes, '') AS notes, '[' || r.calls || ']' AS calls
FROM rows r JOIN names n ON n.id = r.name JOIN plans q ON q.id = r.plan
WHERE r.kind = 0 AND r.called > 0;

CREATE VIEW unpacked AS
SELECT k.seq, c.key AS i, c.key AS site, c.value AS duration_ns, k.start_ns + coalesce(
  (SELECT sum(b.value) FROM json_each(k.calls) b WHERE b.key < c.key), 0) AS time_ns,
  k.topic, k.root, k.place, k.sites, k.notes
FROM packed k, json_each(k.calls) c WHERE k.layout = 'chain'
UNION ALL
SELECT k.seq, c.key / 3, c.value, json_extract(k.calls, '$[' || (c.key + 2) || ']'),
  k.start_ns + json_extract(k.calls, '$[' || (c.key + 1) || ']'), k.topic, k.root, k.place, k.sites, k.notes
FROM packed k, json_each(k.calls) c WHERE k.layout = 'spans' AND c.key % 3 = 0;

CREATE VIEW calls AS
SELECT CASE WHEN u.i < {_FIRST} THEN u.seq + 1 + u.i
    ELSE (SELECT b.first FROM blocks b WHERE b.event = u.seq AND b.number = u.i / {_FIRST}) + 1 + u.i % {_FIRST}
    END AS seq,
  u.time_ns, u.seq AS event, u.topic,
  json_extract(u.sites, '$[' || u.site || '].name') AS name,
  json_extract(u.sites, '$[' || u.site || '].plugin') AS plugin,
  nullif(u.duration_ns, -1) AS duration_ns,
  coalesce(json_extract(u.notes, '$.' || u.i || '.outcome'), iif(u.duration_ns = -1, 'open', 'ok')) AS outcome,
  coalesce(json_extract(u.notes, '$.' || u.i || '.reason'), '') AS reason,
  json_extract(u.notes, '$.' || u.i || '.result') AS result,
  json_extract(u.notes, '$.' || u.i || '.error') AS error,
  u.root, CAST(json_extract(u.sites, '$[' || u.site || '].order') AS TEXT) AS "order", u.place
FROM unpacked u;

CREATE VIEW records AS
SELECT r.seq, r.time_ns, k.text AS kind, n.text AS name, p.text AS plugin, r.parent,
  coalesce(r.root, r.seq) AS root, r.duration_ns, o.text AS outcome,
  coalesce(json_extract(nullif(r.notes, ''), '$.self.reason'), '') AS reason, r.payload,
  json_extract(nullif(r.notes, ''), '$.self.result') AS result,
  json_extract(nullif(r.notes, ''), '$.self.error') AS error,
  l.process, l.thread, l.task, l.cell_count AS cell
FROM rows r JOIN kinds k ON k.id = r.kind JOIN names n ON n.id = r.name JOIN names p ON p.id = r.plugin
  JOIN places l ON l.id = r.place JOIN outcomes o ON o.id = r.outcome
UNION ALL
SELECT c.seq, c.time_ns, 'call', c.name, c.plugin, c.event, c.root, c.duration_ns, c.outcome, c.reason, '',
  c.result, c.error, l.process, l.thread, l.task, l.cell_count
FROM calls c JOIN places l ON l.id = c.place;
"""

MIGRATIONS: dict[int, str] = {1: "ALTER TABLE plans ADD COLUMN version INTEGER NOT NULL DEFAULT 0"}
"""Version -> the SQL that brings a recording of that version to the next one."""


def create(connection: sqlite3.Connection) -> None:
    """Lay out an empty database as a recording."""
    connection.executescript(
        f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION}; BEGIN; {TABLES} {VIEWS} COMMIT;"
    )
    connection.executemany("INSERT INTO kinds VALUES (?, ?)", enumerate(KINDS))
    connection.executemany("INSERT INTO outcomes VALUES (?, ?)", enumerate(OUTCOMES))


def create_trusted_views(connection: sqlite3.Connection) -> None:
    """Put this plugbook's own views before those of a file that somebody else may have made.

    SQLite then runs no function that the file names, which ``trusted_schema=OFF`` demands.
    """
    connection.executescript(VIEWS.replace("CREATE VIEW", "CREATE TEMP VIEW"))


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an older recording to this version, one version after the other, each in its own transaction."""
    while (version := connection.execute("PRAGMA user_version").fetchone()[0]) < VERSION:
        connection.executescript(f"BEGIN; {MIGRATIONS[version]}; PRAGMA user_version={version + 1}; COMMIT;")
