#!/usr/bin/env python3
"""The other side of bench P13: pypdfium2, one process, one core.

Reads the text of all pages of the files given, again and again for some seconds, and prints one JSON line with the
pages a second. With --texts it also writes each file's text, as a JSON list.
"""

import argparse
import json
import time
from pathlib import Path

import pypdfium2


def read(path):
    pdf = pypdfium2.PdfDocument(path)
    pages = []
    for page in pdf:
        text = page.get_textpage()
        pages.append(text.get_text_bounded())
        text.close()
        page.close()
    pdf.close()
    return pages


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("--texts", type=Path)
    arguments.add_argument("files", type=Path, nargs="+")
    given = arguments.parse_args()
    # The first pass warms up.
    texts = ["\n".join(read(path)) for path in given.files]
    if given.texts:
        given.texts.write_text(json.dumps(texts))
    begin, pages = time.perf_counter(), 0
    while True:
        for path in given.files:
            pages += len(read(path))
        passed = time.perf_counter() - begin
        if passed >= given.seconds:
            break
    version = str(pypdfium2.PYPDFIUM_INFO)
    print(json.dumps({"value": pages / passed, "unit": "pages/s", "version": version}))


if __name__ == "__main__":
    main()
