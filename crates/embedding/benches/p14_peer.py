#!/usr/bin/env python3
"""The other side of bench P14: ONNX Runtime, 32-bit floats, all cores.

Builds the ONNX graph of the model from its safetensors file (once; kept beside the virtual environment),
embeds the texts of a JSON file again and again for some seconds, and prints one JSON line with the best of
the usual batch sizes, tried beforehand. Its own tokenizer's time counts, as it does on our side. With
--vectors it also writes the vectors as JSON.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAYERS, HEADS, HIDDEN, MAX_TOKENS = 6, 12, 384, 256


def build(folder, file):
    """BERT with mean pooling, in the form that ONNX Runtime's transformer fusions know."""
    tensors = load_file(folder / "model.safetensors")
    nodes, constants = [], {}

    def constant(name, value):
        if name not in constants:
            constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(kind, *inputs, **attributes):
        output = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def dense(x, name):
        weights = constant(name + ".weight.T", tensors[name + ".weight"].T)
        return node("Add", node("MatMul", x, weights), constant(name + ".bias", tensors[name + ".bias"]))

    def norm(x, name):
        gain = constant(name + ".weight", tensors[name + ".weight"])
        shift = constant(name + ".bias", tensors[name + ".bias"])
        return node("LayerNormalization", x, gain, shift, axis=-1, epsilon=1e-12)

    integers = lambda *values: np.array(values, dtype=np.int64)
    number = lambda value: np.array(value, dtype=np.float32)
    words = constant("words", tensors["embeddings.word_embeddings.weight"])
    places = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    length = node("Slice", node("Shape", "ids"), constant("one", integers(1)), constant("two", integers(2)))
    rows = node("Slice", constant("places", places), constant("zero", integers(0)), length)
    x = norm(node("Add", node("Gather", words, "ids"), rows), "embeddings.LayerNorm")
    wide = node("Unsqueeze", "mask", constant("axes", integers(1, 2)))
    shut = node("Mul", node("Sub", constant("1.0", number(1)), wide), constant("-1e4", number(-1e4)))
    split, merge = constant("split", integers(0, 0, HEADS, HIDDEN // HEADS)), constant("merge", integers(0, 0, HIDDEN))
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."

        def heads(name, order):
            return node("Transpose", node("Reshape", dense(x, p + "attention.self." + name), split), perm=order)

        q, k, v = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = node("Div", node("MatMul", q, k), constant("root", number((HIDDEN / HEADS) ** 0.5)))
        context = node("MatMul", node("Softmax", node("Add", scores, shut), axis=-1), v)
        context = node("Reshape", node("Transpose", context, perm=[0, 2, 1, 3]), merge)
        x = norm(node("Add", dense(context, p + "attention.output.dense"), x), p + "attention.output.LayerNorm")
        inner = dense(x, p + "intermediate.dense")
        error = node("Erf", node("Div", inner, constant("sqrt2", number(2**0.5))))
        inner = node("Mul", node("Mul", inner, node("Add", error, constant("1.0", number(1)))), constant("0.5", number(0.5)))
        x = norm(node("Add", dense(inner, p + "output.dense"), x), p + "output.LayerNorm")
    column = node("Unsqueeze", "mask", constant("last", integers(2)))
    total = node("ReduceSum", node("Mul", x, column), constant("one", integers(1)), keepdims=0)
    size = node("Sqrt", node("ReduceSum", node("Mul", total, total), constant("one", integers(1)), keepdims=1))
    nodes.append(helper.make_node("Div", [total, size], ["vectors"]))
    graph = helper.make_graph(
        nodes,
        "minilm",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", "tokens"]),
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", HIDDEN])],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    partial = file.with_suffix(".partial")
    onnx.save(model, partial)
    partial.rename(file)


class Peer:
    def __init__(self, folder, file):
        if not file.exists():
            build(folder, file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()

    def embed(self, texts, batch):
        """Texts of like length in one batch, as sentence-transformers does."""
        sequences = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda index: -len(sequences[index]))
        vectors = np.empty((len(texts), HIDDEN), dtype=np.float32)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            width = len(sequences[part[0]])
            ids = np.zeros((len(part), width), dtype=np.int64)
            mask = np.zeros((len(part), width), dtype=np.float32)
            for row, index in enumerate(part):
                ids[row, : len(sequences[index])] = sequences[index]
                mask[row, : len(sequences[index])] = 1
            vectors[part] = self.session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors


def rate(peer, texts, batch, seconds):
    begin, done = time.perf_counter(), 0
    while True:
        peer.embed(texts, batch)
        done += len(texts)
        passed = time.perf_counter() - begin
        if passed >= seconds:
            return done / passed


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--onnx", type=Path, required=True)
    arguments.add_argument("--texts", type=Path, required=True)
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("--vectors", type=Path)
    given = arguments.parse_args()
    texts = json.loads(given.texts.read_text())
    peer = Peer(given.model, given.onnx)
    vectors = peer.embed(texts, 8)
    if given.vectors:
        given.vectors.write_text(json.dumps([[float(x) for x in vector] for vector in vectors]))
    # The first pass warms up; then its fastest batch size is measured.
    tried = {batch: rate(peer, texts, batch, given.seconds / 10) for batch in (8, 16, 32)}
    best = max(tried, key=tried.get)
    value = rate(peer, texts, best, given.seconds)
    print(json.dumps({"value": value, "unit": "chunks/s", "batch": best, "version": onnxruntime.__version__}))


if __name__ == "__main__":
    main()
