#!/usr/bin/env python3
"""The peer: Celery on Redis. `celery_peer.py REDIS_PORT p6 SECONDS`, `… work`, `… add`

p6: as many tasks with nothing to do as go through for some seconds, from 8 threads, to a worker of one process; then a
hundred a second, and how soon each begins. It says one line of JSON.
work: a worker at its defaults, which says when it is ready and when it begins a task, which then takes ten minutes.
add: adds such a task, and says so.
"""

import json
import multiprocessing
import sys
import threading
import time

from celery import Celery, signals

PORT, WHAT = sys.argv[1], sys.argv[2]
URL = f"redis://127.0.0.1:{PORT}/0"
app = Celery("jobs", broker=URL)
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    # What a task prints is for whoever measures.
    worker_redirect_stdouts=False,
)

DONE = multiprocessing.Value("q", 0)
STARTS = multiprocessing.Array("d", 100_000)
COUNT = multiprocessing.Value("q", 0)


@app.task(name="nothing")
def nothing(due=None):
    if due is not None:
        with COUNT.get_lock():
            STARTS[COUNT.value % len(STARTS)] = (time.time() - due) * 1000
            COUNT.value += 1
    with DONE.get_lock():
        DONE.value += 1


@app.task(name="long")
def long():
    print("begun", flush=True)
    time.sleep(600)


def serve(*options):
    app.worker_main(["--quiet", "worker", "--loglevel", "ERROR", "--without-gossip", "--without-mingle", *options])


def p6(seconds):
    # One process without children is the quickest for tasks with nothing to do.
    worker = multiprocessing.Process(target=serve, args=("--pool", "solo", "--hostname", "p6@localhost"), daemon=True)
    worker.start()
    added, lock = [0], threading.Lock()

    def add(due=None):
        with lock:
            added[0] += 1
        nothing.apply_async(args=[due])

    def empty():
        patience = time.time() + 120
        while DONE.value < added[0] and time.time() < patience:
            time.sleep(0.002)

    add()
    empty()
    begin = time.time()
    start = begin + min(seconds / 4, 5)
    end = start + seconds

    def call():
        while time.time() < end:
            if added[0] - DONE.value > 1000:
                time.sleep(0.001)
            else:
                add()

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    time.sleep(max(0.0, start - time.time()))
    before, began = DONE.value, time.time()
    time.sleep(max(0.0, end - time.time()))
    rate = (DONE.value - before) / (time.time() - began)
    for caller in callers:
        caller.join()
    empty()
    first = time.time()
    for n in range(int(seconds * 100)):
        due = first + n / 100
        time.sleep(max(0.0, due - time.time()))
        add(due)
    empty()
    starts = sorted(STARTS[: min(COUNT.value, len(STARTS))])
    median = starts[len(starts) // 2]
    worker.terminate()
    worker.join()
    print(json.dumps({"rate": rate, "start": median, "added": added[0], "done": DONE.value}), flush=True)


@signals.worker_ready.connect
def ready(**_):
    if WHAT == "work":
        print("ready", flush=True)


if WHAT == "p6":
    p6(float(sys.argv[3]))
elif WHAT == "add":
    long.apply_async()
    print("added", flush=True)
else:
    serve("--concurrency", "1", "--hostname", f"w{time.time_ns()}@localhost")
