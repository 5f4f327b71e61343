#!/usr/bin/env python3
"""The other sides of bench P12: LangChain's recursive splitter and chonkie's token chunker, one core.

Cuts the text of a file again and again for some seconds, by the tokens of the tokenizer file, and prints one JSON line with
the megabytes a second. No passage may be over the size; LangChain's have to be the whole text when they are put together.
chonkie decodes its tokens, and with this tokenizer that is another spelling: its passages are not held against the text.
"""

import argparse
import json
import time
from pathlib import Path

from tokenizers import Tokenizer


def tokenizer_of(path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def langchain(tokenizer, size):
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=size,
        chunk_overlap=0,
        length_function=lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids),
        strip_whitespace=False,
    )
    return splitter.split_text, lambda passage: passage


def chonkie(tokenizer, size):
    from chonkie import TokenChunker

    chunker = TokenChunker(tokenizer=tokenizer, chunk_size=size, chunk_overlap=0)
    return chunker.chunk, lambda passage: passage.text


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("who", choices=["langchain", "chonkie"])
    arguments.add_argument("text", type=Path)
    arguments.add_argument("tokenizer", type=Path)
    arguments.add_argument("--tokens", type=int, default=256)
    arguments.add_argument("--seconds", type=float, default=5)
    given = arguments.parse_args()
    text = given.text.read_text()
    tokenizer = tokenizer_of(given.tokenizer)
    cut, text_of = {"langchain": langchain, "chonkie": chonkie}[given.who](tokenizer, given.tokens)
    # The first pass, over a part, warms up.
    cut(text[:50_000])
    begin, passes = time.perf_counter(), 0
    while True:
        passages = cut(text)
        passes += 1
        passed = time.perf_counter() - begin
        if passed >= given.seconds:
            break
    passages = [text_of(passage) for passage in passages]
    if given.who == "langchain":
        longest = max(len(tokenizer.encode(passage, add_special_tokens=False).ids) for passage in passages)
        assert longest <= given.tokens, f"a passage has {longest} tokens"
        assert "".join(passages) == text, "the passages are not the text"
    else:
        assert len(passages) > 1, "the text was not cut"
    value = len(text.encode()) * passes / 1e6 / passed
    print(json.dumps({"value": value, "unit": "MB/s", "passages": len(passages)}))


if __name__ == "__main__":
    main()
