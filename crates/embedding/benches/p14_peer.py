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
    """BERT with mean pooling, in the fused operators that ONNX Runtime's own transformer optimiser writes: they are
    its fastest form of this model."""
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

    def own(kind, *inputs, **attributes):
        return node(kind, *inputs, domain="com.microsoft", **attributes)

    def product(x, name):
        return node("MatMul", x, constant(name + ".weight.T", tensors[name + ".weight"].T))

    def skip(x, residual, name):
        gain = constant(name + ".LayerNorm.weight", tensors[name + ".LayerNorm.weight"])
        shift = constant(name + ".LayerNorm.bias", tensors[name + ".LayerNorm.bias"])
        bias = constant(name + ".dense.bias", tensors[name + ".dense.bias"])
        return own("SkipLayerNormalization", x, residual, gain, shift, bias, epsilon=1e-12)

    def norm(x, name):
        gain = constant(name + ".weight", tensors[name + ".weight"])
        shift = constant(name + ".bias", tensors[name + ".bias"])
        return node("LayerNormalization", x, gain, shift, axis=-1, epsilon=1e-12)

    integers = lambda *values: np.array(values, dtype=np.int64)
    words = constant("words", tensors["embeddings.word_embeddings.weight"])
    places = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    length = node("Slice", node("Shape", "ids"), constant("one", integers(1)), constant("two", integers(2)))
    rows = node("Slice", constant("places", places), constant("zero", integers(0)), length)
    x = norm(node("Add", node("Gather", words, "ids"), rows), "embeddings.LayerNorm")
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        three = [p + f"attention.self.{name}" for name in ("query", "key", "value")]
        weights = constant(p + "qkv", np.concatenate([tensors[name + ".weight"].T for name in three], axis=1))
        bias = constant(p + "qkv.bias", np.concatenate([tensors[name + ".bias"] for name in three]))
        context = own("Attention", x, weights, bias, "mask", num_heads=HEADS)
        x = skip(product(context, p + "attention.output.dense"), x, p + "attention.output")
        name = p + "intermediate.dense"
        inner = own("BiasGelu", product(x, name), constant(name + ".bias", tensors[name + ".bias"]))
        x = skip(product(inner, p + "output.dense"), x, p + "output")
    column = node("Unsqueeze", node("Cast", "mask", to=TensorProto.FLOAT), constant("last", integers(2)))
    total = node("ReduceSum", node("Mul", x, column), constant("one", integers(1)), keepdims=0)
    size = node("Sqrt", node("ReduceSum", node("Mul", total, total), constant("one", integers(1)), keepdims=1))
    nodes.append(helper.make_node("Div", [total, size], ["vectors"]))
    graph = helper.make_graph(
        nodes,
        "minilm",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
            helper.make_tensor_value_info("mask", TensorProto.INT32, ["batch", "tokens"]),
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", HIDDEN])],
        list(constants.values()),
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
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
            mask = np.zeros((len(part), width), dtype=np.int32)
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
    tried = {batch: rate(peer, texts, batch, given.seconds / 10) for batch in (1, 4, 8, 16)}
    best = max(tried, key=tried.get)
    value = rate(peer, texts, best, given.seconds)
    print(json.dumps({"value": value, "unit": "chunks/s", "batch": best, "version": onnxruntime.__version__}))


if __name__ == "__main__":
    main()
