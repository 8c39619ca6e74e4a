"""The pass `cpu-vectorize-tiles`: tile programs to loops over vectors."""

from __future__ import annotations

from aecompiler.backends.cpu.names import numbered, symbols
from aecompiler.backends.cpu.vectorize.replace import vectorize
from aecompiler.backends.cpu.vectorize.sources import Sources
from aecompiler.backends.cpu.vectorize.values import Machine
from aecompiler.bindings import ir
from aecompiler.diagnostics import remark
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.structured_ops import UnsupportedTile

NOT_VECTORIZED = "is not vectorized: "
"""How remarks begin that give the reason."""


@register_pass
class VectorizeTiles(Pass):
    """Turn tile programs into loops over vectors.

    *Before*: IR on tensors, after `cpu-prepare-functions`. *After*: each tile program, an `scf.forall` with
    results that `attn-tile` made, is an `scf.forall` without results that calls a function for each tile. The
    function is made of `scf`, `vector`, `memref`, `arith` and `math`, and keeps its tiles in scratch memory
    on its stack. Results that a `bufferization.materialize_in_destination` takes are written directly to its
    destination. An `scf.forall` that holds anything else stays as it is, and a remark says why.

    Vectors lie along the last dimension of the tile's elements, the query rows. A product of matrices is
    computed in register tiles of `tile-kv` (first product) or `tile-d` (second product) rows by `tile-q`
    vectors; what follows the first product element by element, and its row reductions, happens in its
    registers, as does the rescaling of the accumulator in front of the second. What surrounds that, as
    rotations, norms over features and gates, is in loops along whatever dimension lies side by side, of any
    size; chains of elementwise operations are one loop. Tiles of k and v in a narrow type are widened once,
    or with `pair-products` multiplied in pairs by the instruction for bf16; that rounds the weights to bf16,
    but not what is added to a state that is carried on.

    In recurrences, which go from chunk to chunk, vectors lie along the value features, or along the positions
    of a chunk for the products of positions; keys are transposed for these. Running sums are one addition for
    each element. What a program inserts in its part of a result is stored in the result's buffer at once, and
    results that begin as one scalar everywhere are filled before.

    ```mlir
    %o = scf.forall (%b, %h, %t) in (%batch, 8, %tiles) shared_outs(%out = %empty) -> (tensor<?x8x?x64xf32>) {
      ...
    }
    ```
    becomes
    ```mlir
    scf.forall (%b, %h, %t) in (%batch, 8, %tiles) {
      func.call @f.tile0(%b, %h, %t, ..., %k, %v, %out) : (...) -> ()
    }
    ```
    """

    NAME = "cpu-vectorize-tiles"

    vector_bits: int = option(512, "the width of a vector register")
    tile_q: int = option(4, "vectors of query rows in a register tile")
    tile_kv: int = option(4, "keys in a register tile of the first product")
    tile_d: int = option(4, "features in a register tile of the second product")
    pair_products: bool = option(False, "multiply bf16 by the instruction for pairs (avx512_bf16)")
    prefetch: bool = option(False, "ask the caches for the rows that follow a tile of q, k or v")

    def __post_init__(self) -> None:
        if self.vector_bits not in (128, 256, 512):
            raise ValueError(f"expects vector-bits to be 128, 256 or 512, got {self.vector_bits}")
        for name, value in (("tile-q", self.tile_q), ("tile-kv", self.tile_kv), ("tile-d", self.tile_d)):
            if not 1 <= value <= 16:
                raise ValueError(f"expects {name} to be 1 to 16, got {value}")

    def run(self, op: ir.Operation) -> None:
        """Rewrite every tile program in `op`, a module."""
        machine = Machine(
            vector_bits=self.vector_bits,
            tile_q=self.tile_q,
            tile_kv=self.tile_kv,
            tile_d=self.tile_d,
            pair_products=self.pair_products,
            prefetch=self.prefetch,
        )
        names = symbols(op)
        for function in rw.walk_list(op, "func.func"):
            if function.opview.is_external:
                continue
            sources = Sources(function, rw.symbol_name(function), names)
            for forall in rw.walk_list(function, "scf.forall"):
                if not len(forall.results):
                    continue
                name = numbered(f"{rw.symbol_name(function)}.tile", names)
                try:
                    vectorize(forall, sources, name, machine)
                except UnsupportedTile as reason:
                    names.remove(name)
                    remark(forall, f"{NOT_VECTORIZED}{reason}")
