"""Warp-specialised kernels as text: attention with a producer and two consumers, and small ones.

Lines carry tags behind `//`, by which `without` and `changed` make kernels that are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

ROWS, KEYS, FEATURES = 16, 16, 16  # of a consumer, of a tile, of a head

SHARED = "#ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>"
_TRANSPOSED = SHARED.replace("transposed = false", "transposed = true")
_BAR = "#ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>"
MMA = "#ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>"


def memdesc(shape: str, element: str = "bf16", layout: str = SHARED) -> str:
    """The type of shared memory."""
    return f"!ttg.memdesc<{shape}x{element}, {layout}, #ttg.shared_memory, mutable>"


def descriptor(shape: str) -> str:
    """The type of a descriptor."""
    return f"!tt.tensordesc<tensor<1x1x{shape}xbf16, {SHARED}>>"


BARRIER = memdesc("1", "i64", _BAR)


def barriers(count: int) -> str:
    """The type of barriers."""
    return memdesc(f"{count}x1", "i64", _BAR)


_Q, _K, _KT = (
    f"{ROWS}x{FEATURES}",
    f"{KEYS}x{FEATURES}",
    memdesc(f"{FEATURES}x{KEYS}", layout=_TRANSPOSED),
)
_SCORES = f"tensor<{ROWS}x{KEYS}xf32, {MMA}>"
_OUTPUT = f"tensor<{ROWS}x{FEATURES}xf32, {MMA}>"
_ROW = f"tensor<{ROWS}xf32, #ttg.slice<{{dim = 1, parent = {MMA}}}>>"
_COLUMN = f"tensor<{ROWS}x1xf32, {MMA}>"
_WEIGHTS = f"tensor<{ROWS}x{KEYS}xbf16, #ttg.dot_op<{{opIdx = 0, parent = {MMA}, kWidth = 2}}>>"
_WGMMA = "{inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32}"


class Lines:
    """The text of one region; names end with a suffix that is its own."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.lines: list[str] = []
        self.count = 0

    def add(self, text: str, tag: str = "") -> None:
        """An operation without results."""
        self.lines.append(text + (f"  // {tag}" if tag else ""))

    def value(self, text: str, tag: str = "") -> str:
        """An operation with one result."""
        self.count += 1
        name = f"%v{self.count}{self.suffix}"
        self.add(f"{name} = {text}", tag)
        return name

    def number(self, value: int) -> str:
        """A constant."""
        return self.value(f"arith.constant {value} : i32")

    def int(self, name: str, a: str, b: str) -> str:
        """An operation on integers."""
        return self.value(f"arith.{name} {a}, {b} : i32")

    def float(self, name: str, a: str, b: str, type_: str) -> str:
        """An operation on tensors of floats."""
        return self.value(f"arith.{name} {a}, {b} : {type_}")

    def index(self, memory: str, number: str, slot: str, whole: str) -> str:
        """A slot of a ring."""
        return self.value(f'"ttg.memdesc_index"({memory}, {number}) : ({whole}, i32) -> {slot}')

    def wait(self, barrier: str, parity: str, tag: str) -> None:
        """Wait for a phase of a barrier."""
        on = self.value("arith.constant true")
        self.add(
            f'"ttng.wait_barrier"({barrier}, {parity}, {on}) '
            f"{{operandSegmentSizes = array<i32: 1, 1, 1, 0>}} : ({BARRIER}, i32, i1) -> ()",
            tag,
        )

    def arrive(self, barrier: str, tag: str) -> None:
        """Arrive at a barrier."""
        on = self.value("arith.constant true")
        self.add(f'"ttng.arrive_barrier"({barrier}, {on}) {{count = 1 : i32}} : ({BARRIER}, i1) -> ()', tag)

    def load(
        self, source: str, type_: str, corner: Sequence[str], barrier: str, target: str, shape: str, tag: str
    ) -> None:
        """Expect the bytes of a tile, and copy it."""
        on = self.value("arith.constant true")
        size = 2
        for each in shape.split("x"):
            size *= int(each)
        self.add(
            f'"ttng.barrier_expect"({barrier}, {on}) {{size = {size} : i32}} : ({BARRIER}, i1) -> ()',
            f"expect {tag}",
        )
        self.add(
            f'"ttng.async_tma_copy_global_to_local"({source}, {", ".join(corner)}, {barrier}, {target}, {on})'
            f" {{cache = 1 : i32, evict = 1 : i32, isVolatile = false}} : "
            f"({', '.join([type_, *['i32'] * len(corner), BARRIER, memdesc(shape), 'i1'])}) -> ()",
            f"copy {tag}",
        )


class _Attention:
    """The parts of the kernel, for a ring of `stages` barriers around `slots` tiles."""

    def __init__(self, stages: int, slots: int) -> None:
        self.stages, self.slots = stages, slots
        self.captures = {
            "q": descriptor(_Q),
            "k": descriptor(_K),
            "v": descriptor(_K),
            "o": descriptor(_Q),
            "b": "i32",
            "h": "i32",
            "row": "i32",
            "keys": "i32",
            "tiles": "i32",
            "qs": memdesc(f"2x{_Q}"),
            "ks": memdesc(f"{slots}x{_K}"),
            "vs": memdesc(f"{slots}x{_K}"),
            "qf": barriers(2),
            "kf": barriers(stages),
            "vf": barriers(stages),
            "em": barriers(stages),
        }

    def at(self, t: Lines, name: str, number: str) -> str:
        whole = self.captures[name]
        if name in ("ks", "vs") and self.slots != self.stages:
            number = t.int("remsi", number, t.number(self.slots))
        slot = BARRIER if "i64" in whole else memdesc(_Q if name == "qs" else _K)
        return t.index(f"%{name}{t.suffix}", number, slot, whole)

    def slot(self, t: Lines, i: str) -> tuple[str, str]:
        stages, one = t.number(self.stages), t.number(1)
        return t.int("remsi", i, stages), t.int("andi", t.int("divsi", i, stages), one)

    def producer(self, t: Lines) -> None:
        s, zero, one, keys = t.suffix, t.number(0), t.number(1), t.number(KEYS)

        def load(source: str, target: str, full: str, row: str, slot: str, shape: str) -> None:
            barrier, place = self.at(t, full, slot), self.at(t, target, slot)
            corner = [f"%b{s}", f"%h{s}", row, zero]
            t.load(f"%{source}{s}", self.captures[source], corner, barrier, place, shape, source)

        def tile(source: str, target: str, full: str, i: str) -> None:
            load(source, target, full, t.int("muli", i, keys), self.slot(t, i)[0], _K)

        def wait_empty(i: str) -> None:
            slot, parity = self.slot(t, i)
            t.wait(self.at(t, "em", slot), t.int("xori", parity, one), "wait em")

        for consumer in range(2):
            row = t.int("addi", f"%row{s}", t.number(ROWS * consumer))
            load("q", "qs", "qf", row, t.number(consumer), _Q)
        tile("k", "ks", "kf", zero)
        t.add(f"scf.for %i{s} = {one} to %tiles{s} step {one} : i32 {{")
        wait_empty(f"%i{s}")
        tile("k", "ks", "kf", f"%i{s}")
        tile("v", "vs", "vf", t.int("subi", f"%i{s}", one))
        t.add("}")
        wait_empty(f"%tiles{s}")
        tile("v", "vs", "vf", t.int("subi", f"%tiles{s}", one))

    def scores(self, t: Lines, q: str, slot: str) -> str:
        k = self.at(t, "ks", slot)
        kt = t.value(f'"ttg.memdesc_trans"({k}) {{order = array<i32: 1, 0>}} : ({memdesc(_K)}) -> {_KT}')
        zero, off = t.value(f"arith.constant dense<0.0> : {_SCORES}"), t.value("arith.constant false")
        types = f"({memdesc(_Q)}, {_KT}, {_SCORES}, i1) -> {_SCORES}"
        return t.value(f'"ttng.warp_group_dot"({q}, {kt}, {zero}, {off}) {_WGMMA} : {types}')

    def output(self, t: Lines, weights: str, slot: str, acc: str) -> str:
        v, on = self.at(t, "vs", slot), t.value("arith.constant true")
        types = f"({_WEIGHTS}, {memdesc(_K)}, {_OUTPUT}, i1) -> {_OUTPUT}"
        return t.value(f'"ttng.warp_group_dot"({weights}, {v}, {acc}, {on}) {_WGMMA} : {types}')

    def done(self, t: Lines, product: str, type_: str, pendings: int, tag: str) -> str:
        attribute = f"{{pendings = {pendings} : i32}}"
        return t.value(f'"ttng.warp_group_dot_wait"({product}) {attribute} : ({type_}) -> {type_}', tag)

    def spread(self, t: Lines, row: str, type_: str) -> str:
        column = t.value(f'"tt.expand_dims"({row}) {{axis = 1 : i32}} : ({_ROW}) -> {_COLUMN}')
        return t.value(f'"tt.broadcast"({column}) : ({_COLUMN}) -> {type_}')

    def reduce(self, t: Lines, value: str, name: str) -> str:
        a, b, c = (f"%{each}{t.count}{t.suffix}" for each in "xyz")
        return t.value(
            f'"tt.reduce"({value}) ({{\n^bb0({a}: f32, {b}: f32):\n{c} = arith.{name} {a}, {b} : f32\n'
            f'"tt.reduce.return"({c}) : (f32) -> ()\n}}) {{axis = 1 : i32}} : ({_SCORES}) -> {_ROW}'
        )

    def softmax(self, t: Lines, scores: str, i: str, m: str, total: str) -> tuple[str, str, str, str]:
        """Weights in 16 bits, the greatest score, the sum, and by what older sums are to be scaled."""
        position = f"tensor<{KEYS}xi32, #ttg.slice<{{dim = 0, parent = {MMA}}}>>"
        row, full = f"tensor<1x{KEYS}xi1, {MMA}>", f"tensor<{ROWS}x{KEYS}xi1, {MMA}>"
        j = t.value(f'"tt.make_range"() {{start = 0 : i32, end = {KEYS} : i32}} : () -> {position}')
        left = t.int("subi", f"%keys{t.suffix}", t.int("muli", i, t.number(KEYS)))
        end = t.value(f'"tt.splat"({left}) : (i32) -> {position}')
        inside = t.value(f"arith.cmpi slt, {j}, {end} : {position}")
        bits = position.replace("i32", "i1")
        inside = t.value(f'"tt.expand_dims"({inside}) {{axis = 0 : i32}} : ({bits}) -> {row}')
        inside = t.value(f'"tt.broadcast"({inside}) : ({row}) -> {full}')
        least = t.value(f"arith.constant dense<0xFF800000> : {_SCORES}")
        scores = t.value(f"arith.select {inside}, {scores}, {least} : {full}, {_SCORES}")
        greatest = t.float("maximumf", m, self.reduce(t, scores, "maximumf"), _ROW)
        scale = t.value(f"math.exp {t.float('subf', m, greatest, _ROW)} : {_ROW}")
        shifted = t.float("subf", scores, self.spread(t, greatest, _SCORES), _SCORES)
        weights = t.value(f"math.exp {shifted} : {_SCORES}")
        total = t.float("mulf", total, scale, _ROW)
        total = t.float("addf", total, self.reduce(t, weights, "addf"), _ROW)
        short = _SCORES.replace("f32", "bf16")
        weights = t.value(f"arith.truncf {weights} : {_SCORES} to {short}")
        weights = t.value(f'"ttg.convert_layout"({weights}) : ({short}) -> {_WEIGHTS}')
        return weights, greatest, total, scale

    def consumer(self, t: Lines, number: int) -> None:
        s, zero, one, this = t.suffix, t.number(0), t.number(1), t.number(number)
        q = self.at(t, "qs", this)
        slot, parity = self.slot(t, zero)
        t.wait(self.at(t, "qf", this), zero, "wait qf")
        t.wait(self.at(t, "kf", slot), parity, "wait kf")
        scores = self.done(t, self.scores(t, q, slot), _SCORES, 0, "first scores")
        t.arrive(self.at(t, "em", slot), "first arrive")
        least = t.value(f"arith.constant dense<0xFF800000> : {_ROW}")
        none = t.value(f"arith.constant dense<0.0> : {_ROW}")
        acc = t.value(f"arith.constant dense<0.0> : {_OUTPUT}")
        *state, _ = self.softmax(t, scores, zero, least, none)
        names, types = [f"%{each}{s}" for each in ("pp", "mm", "ll", "aa")], (_WEIGHTS, _ROW, _ROW, _OUTPUT)
        carried = ", ".join(f"{a} = {b}" for a, b in zip(names, [*state, acc], strict=True))
        t.add(
            f"%loop{s}:4 = scf.for %i{s} = {one} to %tiles{s} step {one} "
            f"iter_args({carried}) -> ({', '.join(types)}) : i32 {{"
        )
        i, last = f"%i{s}", t.int("subi", f"%i{s}", one)
        (slot, parity), (slot_v, parity_v) = self.slot(t, i), self.slot(t, last)
        t.wait(self.at(t, "kf", slot), parity, "wait kf")
        scores = self.scores(t, q, slot)
        t.wait(self.at(t, "vf", slot_v), parity_v, "wait vf")
        acc = self.output(t, names[0], slot_v, names[3])
        scores = self.done(t, scores, _SCORES, 1, "wait scores")
        *state, scale = self.softmax(t, scores, i, names[1], names[2])
        acc = self.done(t, acc, _OUTPUT, 0, "wait output")
        t.arrive(self.at(t, "em", slot), "arrive")
        acc = t.float("mulf", acc, self.spread(t, scale, _OUTPUT), _OUTPUT)
        t.add(f"scf.yield {', '.join([*state, acc])} : {', '.join(types)}")
        t.add("}")
        slot, parity = self.slot(t, t.int("subi", f"%tiles{s}", one))
        t.wait(self.at(t, "vf", slot), parity, "wait vf")
        acc = self.output(t, f"%loop{s}#0", slot, f"%loop{s}#3")
        acc = self.done(t, acc, _OUTPUT, 0, "last output")
        acc = t.float("divf", acc, self.spread(t, f"%loop{s}#2", _OUTPUT), _OUTPUT)
        short = _OUTPUT.replace("f32", "bf16")
        value = t.value(f"arith.truncf {acc} : {_OUTPUT} to {short}")
        t.add(f'"ttg.local_store"({value}, {q}) : ({short}, {memdesc(_Q)}) -> ()', "store o")
        t.add('"ttng.fence_async_shared"() {bCluster = false} : () -> ()')
        row = t.int("addi", f"%row{s}", t.number(ROWS * number))
        o = self.captures["o"]
        t.add(
            f'"ttng.async_tma_copy_local_to_global"(%o{s}, %b{s}, %h{s}, {row}, {zero}, {q}) : '
            f"({o}, i32, i32, i32, i32, {memdesc(_Q)}) -> ()",
            "copy o",
        )
        t.add('"ttng.async_tma_store_wait"() {pendings = 0 : i32} : () -> ()', "wait o")

    def kernel(self) -> str:
        """The whole kernel."""
        t = Lines("")
        two = t.number(2 * ROWS)
        for name, of in (("t", "%blocks"), ("h", "%heads")):
            left = "%pid" if name == "t" else "%rest"
            t.add(f"%{name} = arith.remsi {left}, {of} : i32")
            t.add(f"%{'rest' if name == 't' else 'b'} = arith.divsi {left}, {of} : i32")
        t.add(f"%row = arith.muli %t, {two} : i32")
        t.add(f"%tiles = arith.ceildivsi %keys, {t.number(KEYS)} : i32")
        for name in ("qs", "ks", "vs", "qf", "kf", "vf", "em"):
            t.add(f'%{name} = "ttg.local_alloc"() : () -> {self.captures[name]}', f"alloc {name}")
        for name in ("qf", "kf", "vf", "em"):
            for number in range(2 if name == "qf" else self.stages):
                barrier = self.at(t, name, t.number(number))
                count = 2 if name == "em" else 1
                t.add(f'"ttng.init_barrier"({barrier}) {{count = {count} : i32}} : ({BARRIER}) -> ()', name)
        t.add('"ttng.fence_async_shared"() {bCluster = false} : () -> ()')
        types = ", ".join(self.captures.values())
        t.add(f'"ttg.warp_specialize"({", ".join(f"%{each}" for each in self.captures)}) ({{')
        first = Lines("")
        first.count = t.count
        self.consumer(first, 0)
        t.lines += first.lines
        t.add('"ttg.warp_yield"() : () -> ()\n}, {\n"ttg.warp_specialize.partitions"() ({')
        for suffix in ("_c", "_p"):
            arguments = ", ".join(f"%{name}{suffix}: {type_}" for name, type_ in self.captures.items())
            part = Lines(suffix)
            if suffix == "_c":
                self.consumer(part, 1)
            else:
                self.producer(part)
            t.lines += [f"^bb0({arguments}):", *part.lines, '"ttg.warp_return"() : () -> ()']
            t.add("}, {" if suffix == "_c" else "}) : () -> ()")
        t.add(
            "}) {partitionNumWarps = array<i32: 4, 1>, requestedRegisters = array<i32: 240, 24>} : "
            f"({types}) -> ()"
        )
        return "\n".join(t.lines)


def attention(stages: int = 2, slots: int = 0) -> str:
    """`f` of q, k, v: softmax attention, both products one tile apart; v shares the slots of k's.

    With fewer slots than stages it is wrong.
    """
    t = f"tensor<?x?x?x{FEATURES}xbf16>"
    tensors = ", ".join(
        f"%{x}p: !tt.ptr<bf16>, %{x}s0: i64, %{x}s1: i64, %{x}s2: i64" for x in ("q", "k", "v", "o")
    )
    parts = _Attention(stages, slots or stages)
    boxes = ", ".join(f"%{name}: {parts.captures[name]}" for name in ("q", "k", "v", "o"))
    return f"""
func.func @f(%q: {t}, %k: {t}, %v: {t}) -> {t} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %block = arith.constant {2 * ROWS} : index
  %batch = tensor.dim %q, %c0 : {t}
  %heads = tensor.dim %q, %c1 : {t}
  %rows = tensor.dim %q, %c2 : {t}
  %keys = tensor.dim %k, %c2 : {t}
  %blocks = arith.ceildivui %rows, %block : index
  %all = arith.muli %batch, %heads : index
  %programs = arith.muli %all, %blocks : index
  %new = tensor.empty(%batch, %heads, %rows) : {t}
  %o = "tt_host.launch"(%programs, %c1, %c1, %q, %k, %v, %new, %heads, %blocks, %keys)
    {{kernel = @k, outputs = array<i64: 3>, descriptors = array<i64: 0, 1, 2, 3>}}
    : (index, index, index, {t}, {t}, {t}, {t}, index, index, index) -> {t}
  return %o : {t}
}}
"tt.func"() ({{
^bb0({tensors}, %heads: i32, %blocks: i32, %keys: i32, {boxes}):
  %pid = "tt.get_program_id"() {{axis = 0 : i32}} : () -> i32
{parts.kernel()}
  "tt.return"() : () -> ()
}}) {{sym_name = "k"}} : () -> ()
"""


def lines_of(text: str, tag: str) -> list[int]:
    """The numbers of the lines of a tag."""
    lines = text.split("\n")
    found = [number for number, line in enumerate(lines) if line.rpartition("// ")[1:] == ("// ", tag)]
    assert found, f"no line has the tag {tag}"
    return found


def without(text: str, tag: str, which: int) -> str:
    """The kernel without one of the lines of a tag."""
    lines = text.split("\n")
    lines[lines_of(text, tag)[which]] = ""
    return "\n".join(lines)


def changed(text: str, tag: str, which: int, old: str, new: str) -> str:
    """The kernel with another line of a tag."""
    lines = text.split("\n")
    number = lines_of(text, tag)[which]
    assert old in lines[number], f"no {old} in {lines[number]}"
    lines[number] = lines[number].replace(old, new)
    return "\n".join(lines)
