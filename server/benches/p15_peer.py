#!/usr/bin/env python3
"""The peer: sqlite-vec, in the SQLite of apsw, since not every Python has one that loads extensions.
`p15_peer.py FOLDER fill HERE` makes a database of the vectors in FOLDER, of which the first HERE are in
the workspace that is asked; `p15_peer.py FOLDER ask` asks its questions, one after the other, and says one line of JSON: the
median of their times in milliseconds, and what was found.
"""

import array
import json
import statistics
import sys
import time
from pathlib import Path

import apsw
import sqlite_vec

DIMENSIONS, NEAREST = 384, 10


def read(file):
    numbers = array.array("f", file.read_bytes()).tobytes()
    step = DIMENSIONS * 4
    return [numbers[at : at + step] for at in range(0, len(numbers), step)]


def opened(folder):
    database = apsw.Connection(str(folder / "peer.db"))
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    # All of it stays in memory, as ours does.
    database.execute("PRAGMA cache_size = -400000")
    database.execute("PRAGMA mmap_size = 1000000000")
    return database


def fill(folder, here):
    database = opened(folder)
    database.execute(
        f"CREATE VIRTUAL TABLE passages USING vec0(workspace TEXT PARTITION KEY, vector FLOAT[{DIMENSIONS}])"
    )
    rows = ((n, "here" if n < here else "elsewhere", vector) for n, vector in enumerate(read(folder / "vectors")))
    with database:
        database.executemany("INSERT INTO passages (rowid, workspace, vector) VALUES (?, ?, ?)", rows)
    print("filled")


def ask(folder):
    database = opened(folder)
    sql = f"SELECT rowid FROM passages WHERE workspace = 'here' AND vector MATCH ? AND k = {NEAREST} ORDER BY distance"
    questions = read(folder / "questions")
    # The first one reads the database.
    database.execute(sql, [questions[0]]).fetchall()
    took, found = [], []
    for question in questions:
        begun = time.perf_counter()
        rows = database.execute(sql, [question]).fetchall()
        took.append((time.perf_counter() - begun) * 1000)
        found.append([row[0] for row in rows])
    print(json.dumps({"median": statistics.median(took), "found": found}))


folder = Path(sys.argv[1])
if sys.argv[2] == "fill":
    fill(folder, int(sys.argv[3]))
else:
    ask(folder)
