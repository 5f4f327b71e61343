#!/usr/bin/env python3
"""Makes reference.json and tokens.json, which the tests compare with.

The vectors come from a plain BERT in NumPy with 64-bit floats, the tokens from the `tokenizers` package:
nothing of the crate under test takes part. Needs numpy, safetensors and tokenizers.

    python make_reference.py MODEL_FOLDER
"""

import json
import sys
from math import erf
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAYERS, HEADS, HIDDEN, MAX_TOKENS = 6, 12, 384, 256
HERE = Path(__file__).parent

TEXTS = [
    "",
    "Hello",
    "The invoice from March is missing its second page.",
    "Where can I find the invoice of March?",
    "Each account is locked after five failed sign-ins; an administrator can unlock it under Settings → Users.",
    "Déjà vu: l’été dernier, le café coûtait 2,50 €.",
    "Das Straßenfest in Köln beginnt um 18:00 Uhr, Übernachtung inklusive.",
    "東京の天気は晴れです。明日は雨が降るでしょう。",
    "Сроки поставки указаны в приложении к договору.",
    "मौसम आज बहुत अच्छा है 🌦️ 👩‍👩‍👧 #sunny",
    "SELECT id, name FROM users WHERE created_at > now() - interval '7 days' ORDER BY id;",
    " ".join(
        f"Section {i}. The supplier delivers part number {i * 37 % 1009} within {i % 9 + 2} working days; "
        f"a delay is announced in writing."
        for i in range(60)
    ),
    "internationalization " * 40,
]

ODD = [
    "",
    " ",
    "\t\r\n",
    "don't stop-me now!!!",
    "ALL CAPS and MiXeD",
    "caf\u00e9 cafe\u0301 CAFE\u0301",
    "a\u0301\u0323b a\u0323\u0301b q\u0323\u200d\u0307x",
    "na\u00efve co\u00f6perate \u1e9b\u0323 \ufb01ne \u212b \u0130stanbul \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "\u4f60\u597d\u4e16\u754chello\u4e16",
    "\u30ab\u3099\u30ac \ud55c\uad6d\uc5b4 \uac01 \u1100\u1161\u11a8",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji\U0001f1e9\U0001f1ea \u2764\ufe0f",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 "
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0ba4\u0bae\u0bbf\u0bb4\u0bcd",
    "a\x00b\x01c\x0bd\x0ce\x1ff\x7fg\x85h\u00adi\u200bj\ufeffk\ufffdl\u2028m\u2029n\u00a0o\u3000p",
    "e\x00\u0301 \u0301\x01\u0323 \u0301",
    "\u0301start",
    "[CLS] x [SEP][MASK] [PAD] [UNK] [cls] [CLS",
    "a[SEP]b \u00e9[SEP]\u0301",
    "x" * 99,
    "x" * 100,
    "x" * 101,
    "\u00e9" * 100 + " " + "\u00e9" * 101,
    "y" * 300 + "\u0301 z",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "https://example.org/a_b?c=d&e=f#g user@example.org C:\\path\\to 3.14159 1,234.50\u00a0\u20ac $5 50%",
    "\u201cquotes\u201d \u2018single\u2019 \u2013 \u2014 \u2026 \u00ab\u00bb \u00bf\u00a1 \u3002\uff0c\uff01 `~^|<>=+$",
    "\uac00\uac01\ud7a3 \u1e69 \u0958 \u2126 \uf900 \U0002f800 \U00020000 \U0001d400",
    "\ue000\U000f0000\U0010ffff unassigned \u0378 \U000e0001",
    "tail \u00e9",
    "##ing ##",
]


def bert(tensors, ids):
    """One sequence, in 64-bit floats, step by step as the architecture is written down."""
    t = lambda name: tensors[name].astype(np.float64)

    def norm(x, name):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-12) * t(name + ".weight") + t(name + ".bias")

    def dense(x, name):
        return x @ t(name + ".weight").T + t(name + ".bias")

    n = len(ids)
    x = t("embeddings.word_embeddings.weight")[ids]
    x = x + t("embeddings.position_embeddings.weight")[:n] + t("embeddings.token_type_embeddings.weight")[0]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        heads = lambda name: dense(x, p + "attention.self." + name).reshape(n, HEADS, -1).transpose(1, 0, 2)
        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(HIDDEN / HEADS)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores = scores / scores.sum(-1, keepdims=True)
        context = (scores @ v).transpose(1, 0, 2).reshape(n, HIDDEN)
        x = norm(x + dense(context, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        inner = dense(x, p + "intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(erf)(inner / np.sqrt(2)))
        x = norm(x + dense(inner, p + "output.dense"), p + "output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def tokens(tokenizer, text):
    """[id, first byte, end byte] of each token; the package counts characters."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    starts = [0]
    for c in text:
        starts.append(starts[-1] + len(c.encode()))
    return [[id, starts[a], starts[b]] for id, (a, b) in zip(encoding.ids, encoding.offsets)]


def digest(rows):
    value = 0xCBF29CE484222325
    for row in rows:
        for number in row:
            value = ((value ^ number) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def every_character(block):
    """The text in which each character of a block of 4096 stands within a word and alone."""
    points = range(block * 4096, block * 4096 + 4096)
    return "\n".join(f"a{chr(c)}b {chr(c)} c" for c in points if not 0xD800 <= c <= 0xDFFF)


def main():
    folder = Path(sys.argv[1])
    tensors = load_file(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    vectors = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        vector = bert(tensors, [101] + ids[: MAX_TOKENS - 2] + [102])
        vectors.append({"text": text, "tokens": len(ids), "vector": [round(float(x), 7) for x in vector]})
    (HERE / "reference.json").write_text(json.dumps(vectors, ensure_ascii=False).replace("}, {", "},\n{") + "\n")

    long = "\n".join(ODD)
    long = long * (1_000_000 // len(long.encode()) + 1)
    stored = {
        "odd": [{"text": text, "tokens": tokens(tokenizer, text)} for text in ODD],
        "long": {"bytes": len(long.encode()), "digest": digest(tokens(tokenizer, long))},
        "blocks": [digest(tokens(tokenizer, every_character(block))) for block in range(0x110000 // 4096)],
    }
    (HERE / "tokens.json").write_text(json.dumps(stored).replace('{"text"', '\n{"text"') + "\n")


if __name__ == "__main__":
    main()
