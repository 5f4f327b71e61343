#!/usr/bin/env python3
"""A worker of your own for InsightHub: hears of documents over RabbitMQ, fetches each, and reports how it gets on.

    pip install pika
    RABBITMQ_URL=amqp://… INSIGHTHUB_URL=https://… INSIGHTHUB_KEY=ihk_… python3 outside_worker.py

The key needs the scope `read`, and only documents of its account are done: for another account run it with that one's key
and a WORKER_QUEUE of its own. Only workspaces whose processor is `external` are left to it. A message may come twice, and so
may a report: what was said already changes nothing.
"""
import json
import os
import urllib.error
import urllib.request

import pika

EXCHANGE = os.environ.get("RABBITMQ_EXCHANGE", "insighthub")
QUEUE = os.environ.get("WORKER_QUEUE", "my-worker")
HUB = os.environ["INSIGHTHUB_URL"].rstrip("/")
KEY = os.environ["INSIGHTHUB_KEY"]


def ask(path):
    request = urllib.request.Request(HUB + path, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def report(channel, document_id, status, **fields):
    body = json.dumps({"document_id": document_id, "status": status, **fields})
    # Survives a restart of the broker; the id finds the lines in InsightHub's log.
    properties = pika.BasicProperties(delivery_mode=2, correlation_id=document_id)
    channel.basic_publish(EXCHANGE, "document.status.report", body, properties)


def is_mine(document):
    workspace = json.loads(ask("/api/workspaces/" + document["workspace_id"]))
    now = json.loads(ask("/api/documents/" + document["document_id"]))
    return workspace["processor"] == "external" and now["status"] in ("pending", "processing")


def process(channel, document):
    document_id = document["document_id"]
    report(channel, document_id, "processing", step="extracting_text", progress=10)
    try:
        text = ask(document["file_path"]).decode("utf-8")
    except UnicodeDecodeError:
        return report(channel, document_id, "failed", error="This is no text.", error_code="no_text")
    parts = list(filter(str.strip, text.split("\n\n")))  # your part; report twice a minute, or the broker takes you for dead
    report(channel, document_id, "ready", chunk_count=len(parts), metadata={"words": len(text.split())})


def work(channel, method, _properties, body):
    document = json.loads(body)
    try:
        if is_mine(document):
            process(channel, document)
    except urllib.error.HTTPError as error:
        if error.code != 404:  # deleted meanwhile: nothing is left to do
            raise
    # Only now: if this worker dies before, the document goes to another one.
    channel.basic_ack(method.delivery_tag)


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare(EXCHANGE, passive=True)  # a server makes it; a worker needs no right to
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_bind(QUEUE, EXCHANGE, "document.uploaded")
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, work)
    print("waiting for documents", flush=True)
    channel.start_consuming()


if __name__ == "__main__":
    main()
