"""The native part of calls and allocations: LLVM functions that `cpu-outline-parallel` adds to a module.

Code can't go on without the memory that it asks for, and it may ask deep inside of loops, on any thread. So
an allocation that fails jumps back, as C's `longjmp` does, to the innermost *frame* of its thread. That is a
struct on the stack of whoever is prepared to fail, with the frame before it, the blocks that were allocated
in it, and where to jump to. A call of a kernel (`CALL`) has a frame, and so has a thread's work on a parallel
region (`parallel_runtime.py`); between a frame and an allocation are only functions of ours. Whoever leaves
a frame, by a jump or not, frees its blocks. Each thread finds its innermost frame by a key of the system for
values of threads. `CALL` also looks whether the stack of its thread is large enough, before it does anything.
"""

from __future__ import annotations

import os

CALL = "aecrt.call"

STATE_WORDS = 6
"""Of a call: function, its arguments, the lowest address of the stack, bytes it needs there, key; outcome."""
ARGUMENTS_WORD, LOWEST_WORD, NEED_WORD, KEY_WORD, OUTCOME_WORD = range(1, STATE_WORDS)
DONE, NO_MEMORY, NO_STACK = range(3)

_POSIX, _WINDOWS = ("pthread_getspecific", "pthread_setspecific"), ("TlsGetValue", "TlsSetValue")
_GET, _SET = _WINDOWS if os.name == "nt" else _POSIX

_HEADER = 64
"""Bytes before a block, a multiple of all alignments: the next older block, and what points to this one."""

FRAME = "!llvm.struct<(ptr, ptr, array<64 x i64>)>"
"""The frame before, the newest block, and C's jmp_buf, which is smaller everywhere."""

TEXT = f"""
!frame = {FRAME}

llvm.mlir.global internal @aecrt.key(0 : i64) : i64
llvm.func @{_GET}(i64) -> !llvm.ptr
llvm.func @{_SET}(i64, !llvm.ptr) -> i32
llvm.func @_setjmp(!llvm.ptr, !llvm.ptr) -> i32 attributes {{passthrough = ["returns_twice"]}}
llvm.func @longjmp(!llvm.ptr, i32)
llvm.func @malloc(i64) -> !llvm.ptr
llvm.func @free(!llvm.ptr)

llvm.func internal @aecrt.frame() -> !llvm.ptr {{
  %key_at = llvm.mlir.addressof @aecrt.key : !llvm.ptr
  %key = llvm.load %key_at atomic monotonic {{alignment = 8 : i64}} : !llvm.ptr -> i64
  %frame = llvm.call @{_GET}(%key) : (i64) -> !llvm.ptr
  llvm.return %frame : !llvm.ptr
}}

llvm.func internal @aecrt.set_frame(%frame: !llvm.ptr) {{
  %key_at = llvm.mlir.addressof @aecrt.key : !llvm.ptr
  %key = llvm.load %key_at atomic monotonic {{alignment = 8 : i64}} : !llvm.ptr -> i64
  %ignored = llvm.call @{_SET}(%key, %frame) : (i64, !llvm.ptr) -> i32
  llvm.return
}}

// The system may have no memory for the value of a thread: then there is no frame to jump to.
llvm.func internal @aecrt.enter(%frame: !llvm.ptr) -> i1 {{
  %null = llvm.mlir.zero : !llvm.ptr
  %before = llvm.call @aecrt.frame() : () -> !llvm.ptr
  llvm.store %before, %frame : !llvm.ptr, !llvm.ptr
  %newest_at = llvm.getelementptr %frame[0, 1] : (!llvm.ptr) -> !llvm.ptr, !frame
  llvm.store %null, %newest_at : !llvm.ptr, !llvm.ptr
  llvm.call @aecrt.set_frame(%frame) : (!llvm.ptr) -> ()
  %innermost = llvm.call @aecrt.frame() : () -> !llvm.ptr
  %entered = llvm.icmp "eq" %innermost, %frame : !llvm.ptr
  llvm.return %entered : i1
}}

llvm.func internal @aecrt.leave(%frame: !llvm.ptr) {{
  %null = llvm.mlir.zero : !llvm.ptr
  %before = llvm.load %frame : !llvm.ptr -> !llvm.ptr
  llvm.call @aecrt.set_frame(%before) : (!llvm.ptr) -> ()
  %newest_at = llvm.getelementptr %frame[0, 1] : (!llvm.ptr) -> !llvm.ptr, !frame
  %newest = llvm.load %newest_at : !llvm.ptr -> !llvm.ptr
  llvm.br ^more(%newest : !llvm.ptr)
^more(%block: !llvm.ptr):
  %any = llvm.icmp "ne" %block, %null : !llvm.ptr
  llvm.cond_br %any, ^free, ^done
^free:
  %older = llvm.load %block : !llvm.ptr -> !llvm.ptr
  llvm.call @free(%block) : (!llvm.ptr) -> ()
  llvm.br ^more(%older : !llvm.ptr)
^done:
  llvm.return
}}

llvm.func internal @aecrt.fail() {{
  %one = llvm.mlir.constant(1 : i32) : i32
  %frame = llvm.call @aecrt.frame() : () -> !llvm.ptr
  %jump = llvm.getelementptr %frame[0, 2] : (!llvm.ptr) -> !llvm.ptr, !frame
  llvm.call @longjmp(%jump, %one) : (!llvm.ptr, i32) -> ()
  llvm.unreachable
}}

llvm.func internal @_mlir_memref_to_llvm_alloc(%size: i64) -> (!llvm.ptr {{llvm.noalias}})
    attributes {{passthrough = ["noinline"]}} {{
  %null = llvm.mlir.zero : !llvm.ptr
  %header = llvm.mlir.constant({_HEADER} : i64) : i64
  %total = llvm.add %size, %header : i64
  %block = llvm.call @malloc(%total) : (i64) -> !llvm.ptr
  %failed = llvm.icmp "eq" %block, %null : !llvm.ptr
  llvm.cond_br %failed, ^fail, ^link
^link:
  %frame = llvm.call @aecrt.frame() : () -> !llvm.ptr
  %newest_at = llvm.getelementptr %frame[0, 1] : (!llvm.ptr) -> !llvm.ptr, !frame
  %older = llvm.load %newest_at : !llvm.ptr -> !llvm.ptr
  %from_at = llvm.getelementptr %block[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  llvm.store %older, %block : !llvm.ptr, !llvm.ptr
  llvm.store %newest_at, %from_at : !llvm.ptr, !llvm.ptr
  llvm.store %block, %newest_at : !llvm.ptr, !llvm.ptr
  %memory = llvm.getelementptr %block[{_HEADER}] : (!llvm.ptr) -> !llvm.ptr, i8
  %first = llvm.icmp "eq" %older, %null : !llvm.ptr
  llvm.cond_br %first, ^done, ^next
^next:
  %its_from_at = llvm.getelementptr %older[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  llvm.store %block, %its_from_at : !llvm.ptr, !llvm.ptr
  llvm.br ^done
^done:
  llvm.return %memory : !llvm.ptr
^fail:
  llvm.call @aecrt.fail() : () -> ()
  llvm.unreachable
}}

llvm.func internal @_mlir_memref_to_llvm_free(%memory: !llvm.ptr) attributes {{passthrough = ["noinline"]}} {{
  %null = llvm.mlir.zero : !llvm.ptr
  %nothing = llvm.icmp "eq" %memory, %null : !llvm.ptr
  llvm.cond_br %nothing, ^done, ^unlink
^unlink:
  %block = llvm.getelementptr %memory[-{_HEADER}] : (!llvm.ptr) -> !llvm.ptr, i8
  %older = llvm.load %block : !llvm.ptr -> !llvm.ptr
  %from_at = llvm.getelementptr %block[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %from = llvm.load %from_at : !llvm.ptr -> !llvm.ptr
  llvm.store %older, %from : !llvm.ptr, !llvm.ptr
  %last = llvm.icmp "eq" %older, %null : !llvm.ptr
  llvm.cond_br %last, ^free, ^next
^next:
  %its_from_at = llvm.getelementptr %older[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  llvm.store %from, %its_from_at : !llvm.ptr, !llvm.ptr
  llvm.br ^free
^free:
  llvm.call @free(%block) : (!llvm.ptr) -> ()
  llvm.br ^done
^done:
  llvm.return
}}

llvm.func @{CALL}(%state: !llvm.ptr) {{
  %one = llvm.mlir.constant(1 : i64) : i64
  %zero = llvm.mlir.constant(0 : i32) : i32
  %no_memory = llvm.mlir.constant({NO_MEMORY} : i64) : i64
  %no_stack = llvm.mlir.constant({NO_STACK} : i64) : i64
  %null = llvm.mlir.zero : !llvm.ptr
  %frame = llvm.alloca %one x !frame {{alignment = 64 : i64}} : (i64) -> !llvm.ptr
  %jump = llvm.getelementptr %frame[0, 2] : (!llvm.ptr) -> !llvm.ptr, !frame
  %arguments_at = llvm.getelementptr %state[{ARGUMENTS_WORD}] : (!llvm.ptr) -> !llvm.ptr, i64
  %lowest_at = llvm.getelementptr %state[{LOWEST_WORD}] : (!llvm.ptr) -> !llvm.ptr, i64
  %need_at = llvm.getelementptr %state[{NEED_WORD}] : (!llvm.ptr) -> !llvm.ptr, i64
  %key_from = llvm.getelementptr %state[{KEY_WORD}] : (!llvm.ptr) -> !llvm.ptr, i64
  %outcome_at = llvm.getelementptr %state[{OUTCOME_WORD}] : (!llvm.ptr) -> !llvm.ptr, i64
  %here = llvm.ptrtoint %frame : !llvm.ptr to i64
  %function = llvm.load %state : !llvm.ptr -> !llvm.ptr
  %arguments = llvm.load %arguments_at : !llvm.ptr -> !llvm.ptr
  %lowest = llvm.load %lowest_at : !llvm.ptr -> i64
  %need = llvm.load %need_at : !llvm.ptr -> i64
  %left = llvm.sub %here, %lowest : i64
  %short = llvm.icmp "ult" %left, %need : i64
  llvm.cond_br %short, ^refuse, ^enter
^refuse:
  llvm.store %no_stack, %outcome_at : i64, !llvm.ptr
  llvm.return
^enter:
  %key = llvm.load %key_from : !llvm.ptr -> i64
  %key_at = llvm.mlir.addressof @aecrt.key : !llvm.ptr
  llvm.store %key, %key_at atomic monotonic {{alignment = 8 : i64}} : i64, !llvm.ptr
  %entered = llvm.call @aecrt.enter(%frame) : (!llvm.ptr) -> i1
  llvm.cond_br %entered, ^prepare, ^failed
^prepare:
  %jumped = llvm.call @_setjmp(%jump, %null) : (!llvm.ptr, !llvm.ptr) -> i32
  %failed = llvm.icmp "ne" %jumped, %zero : i32
  llvm.cond_br %failed, ^failed, ^run
^run:
  llvm.call %function(%arguments) : !llvm.ptr, (!llvm.ptr) -> ()
  llvm.br ^leave
^failed:
  llvm.store %no_memory, %outcome_at : i64, !llvm.ptr
  llvm.br ^leave
^leave:
  llvm.call @aecrt.leave(%frame) : (!llvm.ptr) -> ()
  llvm.return
}}
"""
