"""Fuzzes the reader of `.sqdet` files: any bytes give the model that the checksum names, or ModelFileError.

    python -m tests.fuzz_packed [--inputs 100000] [--seed 0]

An input is a short program of random bytes that damages a valid file. Half of the
files get their checksums repaired afterwards, so that the damage reaches the code behind them: fields of the header, of
tensor records, streams before and after deflate. An input may take 2 s of CPU time; a slower one, a crash or any other
exception ends the run, and the file is kept.
"""

from __future__ import annotations

import argparse
import collections
import re
import resource
import signal
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.packed.writer import assemble, deflate, encode
from sqdet_cv.dnn.packed import HEADER_FORMAT, MAGIC, Header, Tensor, unpack
from sqdet_cv.errors import ModelFileError

from .packed_reader import read_packed

LIMIT_S = 2.0
MEMORY_BYTES = 2 << 30
KEPT = Path("fuzz_packed_failure.sqdet")
INTERESTING = (0, 1, 2, 3, 4, 7, 8, 9, 255, 256, 257, 65535, 65536, 65537, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
GRAPH = bytes(range(97, 123)) * 3
SPEC = '{"labels": ["a"]}'
RECORD_MAXIMA = [0xFFFF_FFFF] * 7 + [255] * 2


class Choices:
    """Numbers out of the bytes of an input, in turn; 0 when they are used up."""

    def __init__(self, program: bytes) -> None:
        self.program, self.used = program, 0

    def below(self, limit: int) -> int:
        taken = self.program[self.used : self.used + 4]
        self.used += 4
        return int.from_bytes(taken, "little") % limit

    def rest(self) -> bytes:
        return self.program[self.used :]

    def number(self, old: int, maximum: int) -> int:
        """A length that means trouble: a limit of some kind, one beside the true one, or anything."""
        kind = self.below(3)
        if kind == 0:
            return min(INTERESTING[self.below(len(INTERESTING))], maximum)
        return (old + self.below(9) - 4) % (maximum + 1) if kind == 1 else self.below(maximum + 1)

    def change(self, data: bytes) -> bytes:
        """A bit flipped, a byte set, bytes cut out or put in."""
        kind, position = self.below(4), self.below(len(data) + 1)
        before, byte, after = data[:position], data[position : position + 1], data[position + 1 :]
        if kind == 0 and byte:
            return before + bytes([byte[0] ^ 1 << self.below(8)]) + after
        if kind == 1 and byte:
            return before + bytes([self.below(256)]) + after
        if kind == 2:
            return before + data[position + self.below(9) :]
        return before + bytes([self.below(256)]) * self.below(9) + byte + after


Tensors = list[tuple[Tensor, bytes]]  # records and their streams


def seed_files() -> list[tuple[Tensors, int]]:
    """Tensors and the checksum of the model: a file for every coding of the format, one with all and one with none."""
    rng = np.random.default_rng(0)
    dense = rng.normal(0, 1, 40).astype(np.float32)
    large = rng.permutation(np.arange(300, dtype=np.uint32).repeat(9) * 977)
    shared = rng.choice(dense[:5], 900)
    sparse = np.where(rng.random(900) < 0.9, 0, shared).astype(np.float32)
    runs = np.zeros(2000, np.float16)
    runs[[3, 700, 1500]] = 1, 2, 3
    arrays = [dense, shared, sparse, runs, large, np.zeros(500, np.int8), rng.integers(-3, 4, 600)]
    coded = [encode(array.tobytes(), array.itemsize) for array in arrays]
    coded = [(tensor._replace(position=3 * i), stream) for i, (tensor, stream) in enumerate(coded)]
    files = [[], *([one] for one in coded), coded]
    return [(tensors, zlib.crc32(read_packed(write(tensors, {}))[0])) for tensors in files]


def build(program: bytes) -> bytes:
    """The file that an input stands for."""
    choices = Choices(program)
    kind = choices.below(8)
    if kind == 0:
        return MAGIC * choices.below(2) + choices.rest()
    tensors, onnx_crc = SEEDS[choices.below(len(SEEDS))]
    if kind <= 3:
        data = write(tensors, {"onnx_crc": onnx_crc})
        for _ in range(1 + choices.below(3)):
            data = choices.change(data)
        return data
    tensors = list(tensors)
    for _ in range(choices.below(3) if tensors else 0):
        damage(tensors, choices)
    header = {"onnx_crc": onnx_crc}
    if kind == 7:
        name = Header._fields[2 + choices.below(len(Header._fields) - 3)]
        header[name] = choices.number(len(GRAPH), 0xFFFF_FFFF)
    return write(tensors, header)


def damage(tensors: Tensors, choices: Choices) -> None:
    """One change to the records or the streams."""
    i = choices.below(len(tensors))
    tensor, stream = tensors[i]
    kind = choices.below(5)
    if kind <= 1:
        field = choices.below(len(Tensor._fields))
        values = list(tensor)
        values[field] = choices.number(values[field], RECORD_MAXIMA[field])
        tensors[i] = Tensor(*values), stream
    elif kind == 2:
        tensors[i] = recorded(tensor, deflate([choices.change(inflated(stream))], zlib.Z_HUFFMAN_ONLY))
    elif kind == 3:
        tensors[i] = recorded(tensor, choices.change(stream))
    else:
        tensors.insert(choices.below(len(tensors) + 1), tensors.pop(i))


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream, -zlib.MAX_WBITS)
    except zlib.error:
        return stream  # damaged before


def recorded(tensor: Tensor, stream: bytes) -> tuple[Tensor, bytes]:
    return tensor._replace(stream_bytes=len(stream), stream_crc=zlib.crc32(stream)), stream


def write(tensors: Tensors, changes: dict[str, int]) -> bytes:
    """The file with all checksums right and the model's length that the records claim; then `changes` of the header."""
    records, streams = [tensor for tensor, _ in tensors], [stream for _, stream in tensors]
    data = assemble(SPEC, GRAPH, records, streams, b"")
    header = Header._make(HEADER_FORMAT.unpack_from(data))
    claimed = min(len(GRAPH) + sum(tensor.onnx_bytes for tensor in records), 0xFFFF_FFFF)
    start = HEADER_FORMAT.pack(*header._replace(onnx_bytes=claimed)._replace(**changes))[:-4]
    return start + zlib.crc32(start).to_bytes(4, "little") + data[HEADER_FORMAT.size :]


SEEDS = seed_files()


def try_out(data: bytes) -> str:
    """Unpacks; the kind of answer: the error without its numbers, or "unpacked"."""
    try:
        onnx, spec_json = unpack(data, "x")
    except ModelFileError as error:
        return re.sub(r"\d+|b'.*'|\(.*\)", "_", str(error))
    assert zlib.crc32(onnx) in {onnx_crc for _, onnx_crc in SEEDS}, "unpacked a model that was never packed"
    assert spec_json is None or isinstance(spec_json, str)
    return "unpacked"


def too_slow(*_: object) -> None:
    raise TimeoutError(f"an input took more than {LIMIT_S} s of CPU time")


def run_random(inputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers, slowest = collections.Counter(), 0.0
    signal.signal(signal.SIGPROF, too_slow)
    started = time.perf_counter()
    for _ in tqdm(range(inputs), unit=" inputs", disable=not sys.stderr.isatty()):
        data = build(rng.bytes(int(rng.integers(8, 120))))
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        try:
            answers[try_out(data)] += 1
        except BaseException:
            KEPT.write_bytes(data)
            print(f"the input is kept in {KEPT}", file=sys.stderr)
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - began)
    rate = inputs / (time.perf_counter() - started)
    print(f"{inputs} inputs, {rate:.0f} a second, slowest {1000 * slowest:.1f} ms of CPU time; answers:")
    for answer, count in answers.most_common():
        print(f"{count:8d}  {answer}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))  # a hostile length becomes a MemoryError
    run_random(args.inputs, args.seed)


if __name__ == "__main__":
    main()
