"""Operations of random programs around attn operations, written as MLIR text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from host_values import Number, Tensor, ValueWriter, tensor_type


class Writer(ValueWriter):
    """Writes the body of one function."""

    # ---- parts of tensors ----

    def part(self, value: int, dynamic_in: int = 2) -> tuple[str, int | None]:
        """A number of a slice, as text and as the type sees it: static, or a value."""
        return (self.index(value), None) if self.chance(dynamic_in) else (str(value), value)

    def offset(self, fitting: int) -> str:
        """An offset that fits, or now and then any."""
        if self.chance(8):
            return self.any_index()
        return self.part(fitting)[0]

    def extract_slice(self) -> None:
        source = self.a_tensor()
        columns: list[tuple[str, str, str]] = []
        static: list[int | None] = []
        shape: list[int] = []
        for whole in source.shape:
            size = self.pick([n for n in (1, whole, 2, 3, 0) if n <= whole])
            strides = [n for n in (1, 1, 1, 2, -1, 0) if size < 2 or (size - 1) * abs(n) < whole]
            stride = self.pick(strides)
            span = (size - 1) * stride if size else 0
            # A slice without elements may lie anywhere.
            places = range(max(0, -span), max(whole - max(0, span), 0)) or range(1)
            size_text, known = (self.small_index(size), None) if self.chance(3) else (str(size), size)
            # MLIR takes static strides for positive.
            stride_text = self.index(stride) if stride < 1 else self.part(stride, 4)[0]
            columns.append((self.offset(self.pick(places)), size_text, stride_text))
            static.append(known)
            shape.append(size)
        kept = [d for d, size in enumerate(static) if size != 1 or not self.chance(2)]
        if not kept or (len({static[d] == 1 for d in kept}) > 1 and len(kept) < len(static)):
            kept = list(range(len(static)))
        self.tensor(
            f"tensor.extract_slice {source.name}{_columns(columns)} : {source} to ",
            [static[d] for d in kept],
            [shape[d] for d in kept],
        )

    def insert_slice(self) -> None:
        into = self.a_tensor()
        fitting = [t for t in self.tensors if _fits(t.shape, into.shape)]
        source = self.pick(fitting[::-1]) if fitting and not self.chance(8) else self.a_tensor()
        if len(source.shape) > len(into.shape):
            return
        columns = []
        sizes: list[tuple[int | None, int]] = list(zip(source.static, source.shape, strict=True))
        while len(sizes) < len(into.shape):
            sizes.insert(self.upto(len(sizes)), (1, 1))
        for (known, size), whole in zip(sizes, into.shape, strict=True):
            stride = 2 if self.chance(4) and 2 * size - 1 <= whole else 1
            offset = self.upto(max(0, whole - 1 - (size - 1) * stride))
            size_text = str(known) if known is not None else self.index(size)
            columns.append((self.offset(offset), size_text, self.part(stride, 5)[0]))
        self.tensor(
            f"tensor.insert_slice {source.name} into {into.name}{_columns(columns)} : {source} into ",
            into.static,
            into.shape,
        )

    def insert(self) -> None:
        value, into = self.a_float(), self.a_tensor()
        self.tensor(
            f"tensor.insert {value.name} into {into.name}[{self.places(into)}] : ", into.static, into.shape
        )

    # ---- whole tensors ----

    def pad(self) -> None:
        source = self.a_tensor()
        low, high = ([self.upto(2) for _ in source.shape] for _ in range(2))
        texts = [
            ", ".join(self.small_index(n) if self.chance(2) else str(n) for n in part) for part in (low, high)
        ]
        dynamic = [
            size is None or any(not text.split(", ")[d].isdigit() for text in texts)
            for d, size in enumerate(source.static)
        ]
        shape = [a + n + b for a, n, b in zip(low, source.shape, high, strict=True)]
        self.lines.append("")
        place = len(self.lines) - 1
        body, value = self.body(len(shape))
        self.lines[place] = (
            f"{(name := self.module.name())} = tensor.pad {source.name} low[{texts[0]}] high[{texts[1]}] {{"
        )
        static = [None if open_ else size for open_, size in zip(dynamic, shape, strict=True)]
        self.lines += [*body, f"tensor.yield {value} : f32", f"}} : {source} to {tensor_type(static)}"]
        self.tensors.append(Tensor(name, tuple(static), tuple(shape)))

    def body(self, rank: int) -> tuple[list[str], str]:
        """The block of a region that gets `rank` indices, and the float that it computes."""
        start = len(self.lines)
        with self.region():
            arguments = [Number(self.module.name(), "index") for _ in range(rank)]
            self.numbers += arguments
            for _ in range(self.upto(2)):
                self.arithmetic()
            value = self.extracted() if self.chance(2) else self.a_float()
        block = [f"^bb0({', '.join(f'{n.name}: index' for n in arguments)}):", *self.lines[start:]]
        del self.lines[start:]
        return block, value.name

    def new_tensor(self) -> None:
        name = self.pick(("splat", "generate", "empty"))
        shape = [self.upto(4) for _ in range(self.upto(2, 1))]
        static = [None if self.chance(2) else size for size in shape]
        sizes = ", ".join(
            self.small_index(n) for n, known in zip(shape, static, strict=True) if known is None
        )
        if name == "empty":
            self.tensor(f"tensor.empty({sizes}) : ", static, shape)
        elif name == "splat":
            value = self.a_float()
            given = f"[{sizes}]" if sizes else ""
            self.tensor(f"tensor.splat {value.name}{given} : ", static, shape)
        else:
            block, value_name = self.body(len(shape))
            result = self.module.name()
            self.lines += [f"{result} = tensor.generate {sizes} {{", *block]
            self.lines += [f"tensor.yield {value_name} : f32", f"}} : {tensor_type(static)}"]
            self.tensors.append(Tensor(result, tuple(static), tuple(shape)))

    def cast(self) -> None:
        source = self.a_tensor()
        static = [self.pick((size, None)) for size in source.shape]
        if self.chance(8):
            static[0] = self.upto(4)
        static = [
            new if old is None or new is None else old for old, new in zip(source.static, static, strict=True)
        ]
        self.tensor(f"tensor.cast {source.name} : {source} to ", static, source.shape)

    def reshape(self) -> None:
        source = self.a_tensor()
        self.reshaped(source, 3 - len(source.shape))

    def as_type(self, source: Tensor, static: Sequence[int | None]) -> Tensor:
        if source.static == tuple(static):
            return source
        if any(None not in pair and pair[0] != pair[1] for pair in zip(source.static, static, strict=True)):
            source = self.tensor(
                f"tensor.cast {source.name} : {source} to ", [None] * len(source.shape), source.shape
            )
        return self.tensor(f"tensor.cast {source.name} : {source} to ", static, source.shape)

    def partner(self, other: Tensor) -> Tensor:
        """A tensor of the type of `other`, mostly with its sizes."""
        fitting = [t for t in self.tensors if t.shape == other.shape]
        if self.chance(8):
            fitting = [t for t in self.tensors if len(t.shape) == len(other.shape)]
        return self.as_type(self.pick(fitting[::-1]), other.static)

    def elementwise(self) -> None:
        a = self.a_tensor()
        b = self.partner(a)
        name = self.pick(("addf", "subf", "maximumf", "minimumf"))
        self.tensor(f"arith.{name} {a.name}, {b.name} : ", a.static, a.shape)

    def concat(self) -> None:
        a = self.a_tensor()
        b = self.partner(a) if self.chance(2) else self.a_tensor(len(a.shape))
        axis = self.upto(len(a.shape) - 1)
        static = [
            (None if None in (m, n) else m + n) if d == axis else (n if m is None else m)
            for d, (m, n) in enumerate(zip(a.static, b.static, strict=True))
        ]
        shape = [n + (b.shape[d] if d == axis else 0) for d, n in enumerate(a.shape)]
        self.tensor(f"tensor.concat dim({axis}) {a.name}, {b.name} : ({a}, {b}) -> ", static, shape)

    def generic(self) -> None:
        """linalg.generic: projections, permutations, constants, and sums over one loop."""
        source = self.a_tensor()
        if len(source.shape) == 1:
            form = self.pick(("(d0) -> (d0)", "(d0, d1) -> (d0)", "(d0, d1) -> (d1)", "(d0) -> (0)"))
        else:
            form = self.pick(
                ("(d0, d1) -> (d1, d0)", "(d0, d1) -> (d0, d1)", "(d0) -> (d0, 1)", "(d0) -> (0, d0)", "sum")
            )
        reduces = form == "sum"
        form = "(d0, d1) -> (d0, d1)" if reduces else form
        loops, _, reads = form.partition(" -> ")
        rank = loops.count("d")
        sizes: dict[int, tuple[int | None, int]] = {}
        for text, known, size in zip(reads.strip("()").split(", "), source.static, source.shape, strict=True):
            if text.startswith("d"):
                sizes[int(text[1:])] = (known, size)
        fitting = [
            t
            for t in self.tensors
            if len(t.shape) == rank - reduces
            and all(sizes.get(d, (None, n))[1] == n for d, n in enumerate(t.shape))
        ]
        if fitting and self.chance(2):
            out = self.pick(fitting[::-1])
        else:
            wanted = [sizes.get(d, (None, self.upto(3))) for d in range(rank - reduces)]
            given = ", ".join(self.small_index(n) for known, n in wanted if known is None)
            out = self.tensor(f"tensor.empty({given}) : ", [k for k, _ in wanted], [n for _, n in wanted])
        kinds = ['"parallel"'] * (rank - reduces) + ['"reduction"'] * reduces
        writes = f"({', '.join(f'd{d}' for d in range(rank - reduces))})"
        a, b = self.module.name(), self.module.name()
        result = self.module.name()
        self.lines += [
            f"{result} = linalg.generic {{",
            f"  indexing_maps = [affine_map<{form}>, affine_map<{loops} -> {writes}>],",
            f"  iterator_types = [{', '.join(kinds)}]",
            f"}} ins({source.name} : {source}) outs({out.name} : {out}) {{",
            f"^bb0({a}: f32, {b}: f32):",
        ]
        name = self.pick(("addf", "maximumf"))
        combined = self.module.name()
        value = combined if reduces or self.chance(2) else a
        self.lines += [
            f"{combined} = arith.{name} {b}, {a} : f32",
            f"linalg.yield {value} : f32",
            f"}} -> {out}",
        ]
        self.tensors.append(Tensor(result, out.static, out.shape))

    # ---- control flow ----

    def branch(self) -> None:
        condition, like = self.condition(), self.a_tensor()
        result = self.module.name()
        self.lines.append(f"{result} = scf.if {condition.name} -> {like} {{")
        for end in ("} else {", "}"):
            with self.region():
                self.some(2)
                value = self.partner(like)
            self.lines += [f"scf.yield {value.name} : {like}", end]
        self.tensors.append(Tensor(result, like.static, like.shape))

    def loop(self) -> None:
        init = self.a_tensor()
        lower = self.index(self.upto(2))
        zero = self.constant("index", 0).name
        lower = self.number(f"arith.maxsi {lower}, {zero} : index", "index").name
        upper = self.small_index(self.upto(4))
        step = self.small_index(self.upto(2, 1))
        result, carried = self.module.name(), self.module.name()
        induction = Number(self.module.name(), "index")
        self.lines.append(
            f"{result} = scf.for {induction.name} = {lower} to {upper} step {step} "
            f"iter_args({carried} = {init.name}) -> {init} {{"
        )
        with self.region():
            self.numbers.append(induction)
            self.tensors.append(Tensor(carried, init.static, init.shape))
            self.some(3)
            value = self.partner(init)
        self.lines += [f"scf.yield {value.name} : {init}", "}"]
        self.tensors.append(Tensor(result, init.static, init.shape))

    def call(self) -> None:
        """A call of a new private function."""
        given: list[Any] = [self.a_tensor(), self.a_tensor(), self.any_integer("index")]
        inner = Writer(self.draw, self.module, self.nesting + 1)
        parameters = [self.module.name() for _ in given]
        for name, value in zip(parameters, given, strict=True):
            if isinstance(value, Tensor):
                inner.tensors.append(Tensor(name, value.static, value.shape))
            else:
                inner.numbers.append(Number(name, value.kind, value.value))
        inner.some(3)
        result = inner.a_tensor()
        function = self.module.name("@g")
        heads = ", ".join(f"{name}: {value}" for name, value in zip(parameters, given, strict=True))
        self.module.functions.append(function_text(f"private {function}", heads, inner.lines, [result]))
        types = ", ".join(map(str, given))
        self.tensor(
            f"func.call {function}({', '.join(value.name for value in given)}) : ({types}) -> ",
            result.static,
            result.shape,
        )

    def attention(self) -> Tensor:
        """A softmax attention of tensors in scope, each made to be of one batch row and one head."""
        heads = []
        k = self.a_tensor(2)
        q = self.pick([t for t in self.tensors if len(t.shape) == 2 and t.shape[1] == k.shape[1]])
        v = self.pick([t for t in self.tensors if len(t.shape) == 2 and t.shape[0] == k.shape[0]])
        features = {q: k.shape[1], k: k.shape[1], v: v.shape[1]}
        for tensor in (q, k, v):
            tensor = self.as_type(tensor, (tensor.static[0], features[tensor]))
            rows = str(tensor.static[0]) if tensor.static[0] is not None else self.dim(tensor, 0).name
            type_ = tensor_type((1, 1, *tensor.static))
            heads.append(
                (
                    self.write(
                        f"tensor.expand_shape {tensor.name} [[0, 1, 2], [3]] "
                        f"output_shape [1, 1, {rows}, {tensor.shape[1]}] : {tensor} into {type_}"
                    ),
                    type_,
                )
            )
        static, shape = (1, 1, q.static[0], v.shape[1]), (1, 1, q.shape[0], v.shape[1])
        types = ", ".join(type_ for _, type_ in heads)
        result = self.module.name()
        self.lines += [
            f'{result} = "attn.attention"({", ".join(name for name, _ in heads)}) ({{',
            *_ATTENTION.strip().splitlines(),
            f"}}) : ({types}) -> {tensor_type(static)}",
        ]
        return Tensor(result, static, shape)

    def some(self, most: int) -> None:
        """A few operations."""
        forms = [
            *(self.extract_slice, self.insert_slice, self.extract_slice, self.elementwise, self.generic),
            *(self.arithmetic, self.cast_number, self.read_number, self.run_time_dim, self.insert, self.pad),
            *(self.cast, self.reshape, self.concat, self.new_tensor),
        ]
        if self.nesting < 2:
            forms += [self.branch, self.loop, self.call]
        for _ in range(self.upto(most, 1)):
            self.pick(forms)()


_ATTENTION = """
^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
"attn.yield"(%s) : (f32) -> ()
}, {
^mask(%b: index, %h: index, %i: index, %j: index):
%keep = arith.cmpi sge, %i, %j : index
"attn.yield"(%keep) : (i1) -> ()
}, {
^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
%m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
%d = arith.subf %s, %m : f32
%e = math.exp %d : f32
%l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
%p = arith.divf %e, %l : f32
"attn.yield"(%p) : (f32) -> ()
"""


def _columns(columns: Sequence[Sequence[str]]) -> str:
    """Offsets, sizes, strides of each dimension as MLIR writes them."""
    return " ".join(f"[{', '.join(part)}]" for part in zip(*columns, strict=True))


def _fits(part: Sequence[int], whole: Sequence[int]) -> bool:
    return len(part) <= len(whole) and all(
        m <= n for m, n in zip(part, whole[len(whole) - len(part) :], strict=True)
    )


def function_text(name: str, arguments: str, lines: Sequence[str], results: Sequence[Tensor | Number]) -> str:
    """A function as MLIR text."""
    types = ", ".join(map(str, results))
    body = "".join(f"  {line}\n" for line in lines)
    values = ", ".join(result.name for result in results)
    return f"func.func {name}({arguments}) -> ({types}) {{\n{body}  return {values} : {types}\n}}\n"
