"""Kernels at the lane level of the AMD backend, as text."""

from __future__ import annotations

from aecompiler.backends.amd.target import AmdTarget

LDS = "#gpu.address_space<workgroup>"


def module(*functions: str) -> str:
    """A module with a `gpu.module` of these functions."""
    body = "\n".join(functions)
    return f"module attributes {{gpu.container_module}} {{\ngpu.module @kernels {{\n{body}\n}}\n}}\n"


def elementwise(body: str, *, dtype: str = "f32", to: str = "", name: str = "f") -> str:
    """A kernel that computes `body`, from %x to %r, on the element of each thread: x, then results."""
    to = to or dtype
    return f"""
  gpu.func @{name}(%p: !llvm.ptr<1>, %o: !llvm.ptr<1>) kernel {{
    %t = gpu.thread_id x
    %t64 = arith.index_cast %t : index to i64
    %px = llvm.getelementptr %p[%t64] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, {dtype}
    %x = llvm.load %px : !llvm.ptr<1> -> {dtype}
    {body}
    %po = llvm.getelementptr %o[%t64] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, {to}
    llvm.store %r, %po : {to}, !llvm.ptr<1>
    gpu.return
  }}"""


def attention(target: AmdTarget, dtype: str = "f16", features: int = 64) -> str:
    """Softmax attention of 64 queries of four waves over %n keys, 32 at a time.

    Rows of q, k, v and of o (f32) are contiguous. Each wave computes the transpose of its 16 rows of scores,
    so that weights are operands of the second product where they are. v is transposed in LDS.
    """
    return _Attention(target, dtype, features).text()


class _Attention:
    keys = 32

    def __init__(self, target: AmdTarget, dtype: str, features: int):
        shapes = [each for each in target.instructions_for(dtype) if each.m == 16]
        self.k = max(each.k for each in shapes)
        self.dtype, self.features = dtype, features
        self.chunk = self.k // 4
        self.lines: list[str] = []
        self.count = 0

    def op(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"    %v{self.count} = {text}")
        return f"%v{self.count}"

    def load(self, pointer: str, at: str) -> str:
        """The elements of an operand that a lane holds, from four at a time, 16 apart."""
        vector = f"vector<4x{self.dtype}>"
        parts = []
        for number in range(self.chunk // 4):
            offset = self.op(f"arith.constant {16 * number} : i64")
            place = self.op(f"arith.addi {at}, {offset} : i64")
            address = self.op(
                f"llvm.getelementptr {pointer}[{place}] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, {self.dtype}"
            )
            parts.append(self.op(f"llvm.load {address} {{alignment = 8}} : !llvm.ptr<1> -> {vector}"))
        return self.joined(parts)

    def joined(self, parts: list[str]) -> str:
        vector = f"vector<4x{self.dtype}>"
        if len(parts) == 1:
            return parts[0]
        return self.op(f"vector.shuffle {parts[0]}, {parts[1]} [0, 1, 2, 3, 4, 5, 6, 7] : {vector}, {vector}")

    def mfma(self, a: str, b: str, c: str) -> str:
        vector = f"vector<{self.chunk}x{self.dtype}>"
        return self.op(
            f"amdgpu.mfma 16x16x{self.k} {a} * {b} + {c} blgp = none : {vector}, {vector}, vector<4xf32>"
        )

    def constant(self, value: int) -> str:
        return self.op(f"arith.constant {value} : i64")

    def linear(self, *terms: tuple[str, int]) -> str:
        total = self.constant(0)
        for value, factor in terms:
            scaled = self.op(f"arith.muli {value}, {self.constant(factor)} : i64")
            total = self.op(f"arith.addi {total}, {scaled} : i64")
        return total

    def reduced(self, values: list[str], kind: str) -> str:
        """Over the 32 keys of a row: those of a lane, then those of the four lanes that share it."""
        found = values[0]
        for value in values[1:]:
            found = self.op(f"arith.{kind} {found}, {value} : f32")
        for mask in (16, 32):
            other = self.op(f"arith.constant {mask} : i32")
            self.lines.append(
                f"    %s{self.count}, %ok{self.count} = gpu.shuffle xor {found}, {other}, %w : f32"
            )
            found = self.op(f"arith.{kind} {found}, %s{self.count} : f32")
        return found

    def text(self) -> str:
        d, keys = self.features, self.keys
        lds = f"memref<{d * (keys + 4)}x{self.dtype}, {LDS}>"
        self.lines = []
        row = self.linear(("%wave", 16 * d), ("%lr", d), ("%lg", 4))
        q = []
        for part in range(d // self.k):
            q.append(self.load("%q", self.op(f"arith.addi {row}, {self.constant(part * self.k)} : i64")))
        tiles = d // 16
        carried = ", ".join(f"%acc{i} = %zero" for i in range(tiles))
        types = ", ".join(["f32", "f32"] + ["vector<4xf32>"] * tiles)
        self.lines.append(
            f"    %res:{tiles + 2} = scf.for %j = %c0 to %n step %ckeys "
            f"iter_args(%m = %minf, %l = %zerof, {carried}) -> ({types}) : i64 {{"
        )
        # v, transposed into LDS: thread t copies elements of keys t / (d / 4).
        self.lines.append("    gpu.barrier")
        for step in range(keys * d // 4 // 256):
            linear = self.op(f"arith.addi %t, {self.constant(256 * step)} : i64")
            key = self.op(f"arith.divui {linear}, {self.constant(d // 4)} : i64")
            feature = self.op(f"arith.remui {linear}, {self.constant(d // 4)} : i64")
            at = self.linear(("%j", d), (key, d), (feature, 4))
            address = self.op(
                f"llvm.getelementptr %v[{at}] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, {self.dtype}"
            )
            four = self.op(f"llvm.load {address} {{alignment = 8}} : !llvm.ptr<1> -> vector<4x{self.dtype}>")
            for number in range(4):
                element = self.op(
                    f"vector.extract {four}[{number}] : {self.dtype} from vector<4x{self.dtype}>"
                )
                base = self.linear((feature, 4 * (keys + 4)), (key, 1))
                place = self.op(f"arith.addi {base}, {self.constant(number * (keys + 4))} : i64")
                place = self.op(f"arith.index_cast {place} : i64 to index")
                self.lines.append(f"    memref.store {element}, %lds[{place}] : {lds}")
        self.lines.append("    gpu.barrier")
        scores = []
        for tile in range(keys // 16):
            total = "%zero"
            for part in range(d // self.k):
                at = self.linear(("%j", d), ("%lr", d), ("%lg", 4))
                at = self.op(f"arith.addi {at}, {self.constant(16 * tile * d + part * self.k)} : i64")
                total = self.mfma(self.load("%k", at), q[part], total)
            scores.append(total)
        elements = [
            self.op(f"vector.extract {score}[{i}] : f32 from vector<4xf32>")
            for score in scores
            for i in range(4)
        ]
        maximum = self.op(f"arith.maxnumf %m, {self.reduced(elements, 'maxnumf')} : f32")
        base = self.op(f"arith.subf %m, {maximum} : f32")
        alpha = self.op(f"math.exp2 {base} : f32")
        weights = [
            self.op(f"math.exp2 {self.op(f'arith.subf {element}, {maximum} : f32')} : f32")
            for element in elements
        ]
        total = self.reduced(weights, "addf")
        scaled = self.op(f"arith.mulf %l, {alpha} : f32")
        length = self.op(f"arith.addf {scaled}, {total} : f32")
        parts = []
        for tile in range(keys // 16):
            four = ", ".join(weights[4 * tile : 4 * tile + 4])
            wide = self.op(f"vector.from_elements {four} : vector<4xf32>")
            parts.append(self.op(f"arith.truncf {wide} : vector<4xf32> to vector<4x{self.dtype}>"))
        step = self.chunk // 4
        operands = [self.joined(parts[at : at + step]) for at in range(0, len(parts), step)]
        spread = self.op(f"vector.broadcast {alpha} : f32 to vector<4xf32>")
        sums = []
        for tile in range(tiles):
            total = self.op(f"arith.mulf %acc{tile}, {spread} : vector<4xf32>")
            for number, operand in enumerate(operands):
                pieces = []
                for piece in range(step):
                    at = self.linear(("%lr", keys + 4), ("%lg", 4))
                    shift = 16 * tile * (keys + 4) + number * self.k + 16 * piece
                    at = self.op(f"arith.addi {at}, {self.constant(shift)} : i64")
                    at = self.op(f"arith.index_cast {at} : i64 to index")
                    vector = f"vector<4x{self.dtype}>"
                    pieces.append(self.op(f"vector.load %lds[{at}] {{alignment = 8}} : {lds}, {vector}"))
                total = self.mfma(self.joined(pieces), operand, total)
            sums.append(total)
        self.lines.append(f"    scf.yield {', '.join([maximum, length, *sums])} : {types}")
        self.lines.append("    }")
        inverse = self.op("vector.broadcast %res#1 : f32 to vector<4xf32>")
        for tile in range(tiles):
            value = self.op(f"arith.divf %res#{tile + 2}, {inverse} : vector<4xf32>")
            at = self.op(f"arith.addi {row}, {self.constant(16 * tile)} : i64")
            address = self.op(f"llvm.getelementptr %o[{at}] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32")
            self.lines.append(
                f"    llvm.store {value}, {address} {{alignment = 16}} : vector<4xf32>, !llvm.ptr<1>"
            )
        body = "\n".join(self.lines)
        return f"""
  gpu.func @attention(%q: !llvm.ptr<1>, %k: !llvm.ptr<1>, %v: !llvm.ptr<1>, %o: !llvm.ptr<1>, %n: i64)
      workgroup(%lds: {lds}) kernel {{
    %zero = arith.constant dense<0.0> : vector<4xf32>
    %zerof = arith.constant 0.0 : f32
    %minf = arith.constant 0xFF800000 : f32
    %c0 = arith.constant 0 : i64
    %ckeys = arith.constant {keys} : i64
    %c64 = arith.constant 64 : i64
    %c16 = arith.constant 16 : i64
    %w = arith.constant 64 : i32
    %tx = gpu.thread_id x
    %t = arith.index_cast %tx : index to i64
    %lane = arith.remui %t, %c64 : i64
    %wave = arith.divui %t, %c64 : i64
    %lr = arith.remui %lane, %c16 : i64
    %lg = arith.divui %lane, %c16 : i64
{body}
    gpu.return
  }}"""
