"""The pass `amd-distribute-tiles`: kernels on whole tiles to what one lane of a wave does."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.kernel_rules import check_kernel
from aecompiler.backends.amd.distribute.layouts import bits_of
from aecompiler.backends.amd.distribute.places import Choice
from aecompiler.backends.amd.distribute.registers import needed_registers
from aecompiler.backends.amd.distribute.writer import REGISTERS, Writer
from aecompiler.backends.amd.passes.convert_tt_to_vector import DIVISIBILITY
from aecompiler.backends.amd.target import target_of
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass


@register_pass
class DistributeTiles(Pass):
    """Spread the tiles of kernels over the lanes of waves.

    *Before*: kernels of `convert-tt-to-vector`, whose sizes are powers of two. *After*: kernels of the same
    names that say what one of 64 `waves` threads does: operations on numbers and vectors of one dimension,
    matrix instructions (`amdgpu.mfma`), accesses to memory through buffers (`rocdl.raw.ptr.buffer.load`) and
    to local memory. Barriers are not there yet: `amd-place-barriers` places them. Reads ahead keep their
    attribute `amd.ahead`, for `amd-place-sched-barriers`.

    A memref becomes an address; behind all parameters there is one i64 for each memref, in order: the bytes
    that may be accessed from that address on. Nothing beyond is read (it is 0) or written.

    Where the elements of a tile are is a layout: for each bit of the number of a register, a lane and a wave
    the bit of an index that it is. Products are computed transposed: lanes have a row each of the result,
    with columns that follow each other in registers, and that is how a left factor is taken, so that weights
    are factors where they are. Waves have rows of their own, and columns where rows are few. What a value is
    computed in is its *home*: results of products and what is computed of them stay there. Factors that
    several waves need are read in pieces that follow each other in memory and go through local memory, with
    rows a little apart so that lanes meet no bank twice. Positions, masks and what else comes from no memory
    are computed in each layout that needs them. A value that is needed elsewhere goes through local memory.

    Places in memory are read as sums: what all lanes share moves the base of a buffer, in 64 bits; multiples
    of positions are one offset of 32 bits for a lane and constants for its registers. With `near`, what
    changes in a loop is an offset of 32 bits, too, if it is known not to be negative: buffers are made
    outside of the loop. Elements that follow each other are read together, up to 16 bytes, where divisibility
    (`amd.divisibility`) and the mask allow. Where a loop moves positions that are compared with a bound that
    all registers of a lane have, what is left of the bound is compared with a constant of each register.

    An element at a place that all lanes share (`vector.extract`) is chosen among registers by the bits of the
    place, and brought by the lane, or through local memory by the wave, that has it. Code that hardly ever
    runs (`attn.retry`) numbers lanes anew, with an empty piece of assembly, so that LLVM computes nothing of
    it elsewhere.

    Kernels get `amd.shared_bytes`, the bytes of local memory that they use; buffers that are not in use at
    the same time share them. `amd.registers` is an estimate of the vector registers of a lane. `amd.reach`
    says for each memref how far its tiles reach in bytes, as counts of products of parameters, or nothing if
    places come from memory: calls for which this is more than 2^31 are refused.

    ```mlir
    %k = vector.gather %keys[%place] [%offsets], %all, %zeros : ... into vector<64x64xf16>
    %s = vector.contract {...} %q, %k, %start : vector<64x64xf16>, vector<64x64xf16> into vector<64x64xf32>
    ```
    becomes
    ```mlir
    %x = rocdl.raw.ptr.buffer.load %buffer, %offset, %shared, 0 : vector<4xi32>
    %y = vector.bitcast %x : vector<4xi32> to vector<8xf16>
    vector.store %y, %view[%i] {alignment = 16 : i64} : memref<5120xf16, #gpu.address_space<workgroup>>, ...
    %z = vector.load %view[%j] {alignment = 16 : i64} : memref<5120xf16, #gpu.address_space<workgroup>>, ...
    %s0 = amdgpu.mfma 16x16x16 %k0 * %q0 + %start0 : vector<4xf16>, vector<4xf16>, vector<4xf32>
    ```
    """

    NAME = "amd-distribute-tiles"

    chip: str = option("gfx942", "LLVM's name of the chip")
    waves: int = option(4, "waves of a workgroup: 1, 2, 4, 8 or 16")
    matrix: int = option(
        0, "rows of matrix instructions, where sizes allow: 16, 32, or 0 for those of a wave"
    )
    near: bool = option(False, "there are less than 2^31 bytes behind each address")
    direct: bool = option(False, "loops load tiles straight into local memory, two copies of each")

    def __post_init__(self) -> None:
        target = target_of(self.chip)
        if self.waves not in (1, 2, 4, 8, 16):
            raise ValueError(f"expects waves to be 1, 2, 4, 8 or 16, got {self.waves}")
        if self.matrix not in (0, 16, 32):
            raise ValueError(f"expects matrix to be 0, 16 or 32, got {self.matrix}")
        if self.direct and not target.loads_tiles_directly:
            raise ValueError(f"expects direct for a chip that loads 16 bytes into LDS, got {self.chip}")

    def run(self, op: ir.Operation) -> None:
        """Convert every kernel in `op`."""
        choice = Choice(target_of(self.chip), bits_of(self.waves), self.matrix, self.near, self.direct)
        for function in rw.walk_list(op, "gpu.func"):
            if DIVISIBILITY not in function.attributes:
                continue
            divisors = check_kernel(function, DIVISIBILITY)
            with ir.InsertionPoint(function), function.location:
                made = Writer(function, choice, divisors).write()
            i64 = ir.IntegerType.get_signless(64)
            made.attributes[REGISTERS] = ir.IntegerAttr.get(i64, needed_registers(made))
            for name in function.attributes:
                if name.startswith("tt_host."):
                    made.attributes[name] = function.attributes[name]
            function.erase()
            if not made.verify():
                raise PassFailure(made, "expects a kernel of lanes that is valid")
