"""The native part of parallel regions: LLVM functions that `cpu-outline-parallel` adds to a module.

A *context* is what one region shares: on the caller's stack, first its header (`CONTEXT_HEADER`), then
what the body uses of the values around it. A *ticket* belongs to one call of a kernel and lives longer than
the call, so that a thread that comes late may always look at it; `threads.py` makes tickets.

Work items are claimed by an atomic counter in the context, in the order of their numbers: a part of what is
left, so that neighbours, which often read the same memory, fall to one thread, and single ones at the end,
so that all threads end together (guided self-scheduling, Polychronopoulos and Kuck, 1987). A region is open
while its caller works on it. A helper first counts itself in the ticket's state and works only if the state
was open; the caller closes the region when no item is left to claim, and waits until no helper is counted.
Waking a helper, a call into Python, is the only part that is not native, and it may fail or come late: the
caller never depends on a helper that has not begun.

The work of a thread on a region is a frame of `memory_runtime.py`: where memory runs out, the thread notes it
in the context and claims what is left, so that all come to an end; then the caller fails in its turn.
"""

from __future__ import annotations

RUN, HELP = "aecrt.run", "aecrt.help"

CONTEXT_HEADER = ("i64", "array<7 x i64>", "i64", "i64", "ptr", "i64")
"""Items claimed, in a cache line of its own; all items; by what the items left are divided for a claim; the
body; failed."""
ITEMS_FIELD, BODY_FIELD = 2, 4

TICKET_WORDS = 7
"""State, helpers that were woken and have not come yet, threads, wake(object), object, yield(), context."""
WOKEN_WORD, THREADS_WORD, WAKE_WORD, OBJECT_WORD, YIELD_WORD = 1, 2, 3, 4, 5

_SHARES_PER_THREAD = 2
"""A claim is this part of a thread's even share of what is left. Where what takes longest comes first and
falls off evenly, as under a causal mask, the first claim still is less than an even share of the work."""
_OPEN = 2**32

TEXT = f"""
// Stands behind the text of memory_runtime.py
!context = !llvm.struct<({", ".join(CONTEXT_HEADER)})>
llvm.func internal @aecrt.work(%context: !llvm.ptr) {{
  %one = llvm.mlir.constant(1 : i64) : i64
  %items_at = llvm.getelementptr %context[0, 2] : (!llvm.ptr) -> !llvm.ptr, !context
  %items = llvm.load %items_at : !llvm.ptr -> i64
  %shares_at = llvm.getelementptr %context[0, 3] : (!llvm.ptr) -> !llvm.ptr, !context
  %shares = llvm.load %shares_at : !llvm.ptr -> i64
  %body_at = llvm.getelementptr %context[0, 4] : (!llvm.ptr) -> !llvm.ptr, !context
  %body = llvm.load %body_at : !llvm.ptr -> !llvm.ptr
  %failed_at = llvm.getelementptr %context[0, 5] : (!llvm.ptr) -> !llvm.ptr, !context
  %unset = llvm.mlir.constant(0 : i32) : i32
  %null = llvm.mlir.zero : !llvm.ptr
  %frame = llvm.alloca %one x !frame {{alignment = 64 : i64}} : (i64) -> !llvm.ptr
  %jump = llvm.getelementptr %frame[0, 2] : (!llvm.ptr) -> !llvm.ptr, !frame
  %entered = llvm.call @aecrt.enter(%frame) : (!llvm.ptr) -> i1
  llvm.cond_br %entered, ^prepare, ^failed
^prepare:
  %jumped = llvm.call @_setjmp(%jump, %null) : (!llvm.ptr, !llvm.ptr) -> i32
  %failed = llvm.icmp "ne" %jumped, %unset : i32
  llvm.cond_br %failed, ^failed, ^claim
^failed:
  llvm.store %one, %failed_at atomic monotonic {{alignment = 8 : i64}} : i64, !llvm.ptr
  llvm.store %items, %context atomic monotonic {{alignment = 8 : i64}} : i64, !llvm.ptr
  llvm.br ^done
^claim:
  %claimed = llvm.load %context atomic monotonic {{alignment = 8 : i64}} : !llvm.ptr -> i64
  llvm.br ^look(%claimed : i64)
^look(%first: i64):
  %any = llvm.icmp "slt" %first, %items : i64
  llvm.cond_br %any, ^take, ^done
^take:
  %left = llvm.sub %items, %first : i64
  %part = llvm.udiv %left, %shares : i64
  %size = llvm.intr.smax(%part, %one) : (i64, i64) -> i64
  %end = llvm.add %first, %size : i64
  %pair = llvm.cmpxchg %context, %first, %end monotonic monotonic : !llvm.ptr, i64
  %found = llvm.extractvalue %pair[0] : !llvm.struct<(i64, i1)>
  %taken = llvm.extractvalue %pair[1] : !llvm.struct<(i64, i1)>
  llvm.cond_br %taken, ^item(%first : i64), ^look(%found : i64)
^item(%item: i64):
  llvm.call %body(%context, %item) : !llvm.ptr, (!llvm.ptr, i64) -> ()
  %next = llvm.add %item, %one : i64
  %more = llvm.icmp "slt" %next, %end : i64
  llvm.cond_br %more, ^item(%next : i64), ^claim
^done:
  llvm.call @aecrt.leave(%frame) : (!llvm.ptr) -> ()
  llvm.return
}}

llvm.func @{HELP}(%ticket: !llvm.ptr) {{
  %one = llvm.mlir.constant(1 : i64) : i64
  %open = llvm.mlir.constant({_OPEN} : i64) : i64
  %woken_at = llvm.getelementptr %ticket[1] : (!llvm.ptr) -> !llvm.ptr, i64
  %woken = llvm.atomicrmw sub %woken_at, %one monotonic : !llvm.ptr, i64
  %state = llvm.atomicrmw add %ticket, %one acq_rel : !llvm.ptr, i64
  %is_open = llvm.icmp "sge" %state, %open : i64
  llvm.cond_br %is_open, ^work, ^leave
^work:
  %context_at = llvm.getelementptr %ticket[6] : (!llvm.ptr) -> !llvm.ptr, i64
  %context = llvm.load %context_at : !llvm.ptr -> !llvm.ptr
  llvm.call @aecrt.work(%context) : (!llvm.ptr) -> ()
  llvm.br ^leave
^leave:
  %left = llvm.atomicrmw sub %ticket, %one acq_rel : !llvm.ptr, i64
  llvm.return
}}

llvm.func internal @{RUN}(%ticket: !llvm.ptr, %context: !llvm.ptr, %items: i64, %worth: i1) {{
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %open = llvm.mlir.constant({_OPEN} : i64) : i64
  %per_thread = llvm.mlir.constant({_SHARES_PER_THREAD} : i64) : i64
  %null = llvm.mlir.zero : !llvm.ptr
  %shares_at = llvm.getelementptr %context[0, 3] : (!llvm.ptr) -> !llvm.ptr, !context
  %failed_at = llvm.getelementptr %context[0, 5] : (!llvm.ptr) -> !llvm.ptr, !context
  llvm.store %zero, %context : i64, !llvm.ptr
  llvm.store %zero, %failed_at : i64, !llvm.ptr
  %several = llvm.icmp "sgt" %items, %one : i64
  %given = llvm.icmp "ne" %ticket, %null : !llvm.ptr
  %both = llvm.and %several, %given : i1
  %ask = llvm.and %both, %worth : i1
  llvm.cond_br %ask, ^asked, ^alone
^asked:
  %threads_at = llvm.getelementptr %ticket[{THREADS_WORD}] : (!llvm.ptr) -> !llvm.ptr, i64
  %threads = llvm.load %threads_at : !llvm.ptr -> i64
  %shared = llvm.icmp "sgt" %threads, %one : i64
  llvm.cond_br %shared, ^share, ^alone
^share:
  %shares = llvm.mul %threads, %per_thread : i64
  llvm.store %shares, %shares_at : i64, !llvm.ptr
  %context_at = llvm.getelementptr %ticket[6] : (!llvm.ptr) -> !llvm.ptr, i64
  llvm.store %context, %context_at : !llvm.ptr, !llvm.ptr
  %opened = llvm.atomicrmw add %ticket, %open acq_rel : !llvm.ptr, i64
  %useful = llvm.intr.smin(%threads, %items) : (i64, i64) -> i64
  %helpers = llvm.sub %useful, %one : i64
  %woken_at = llvm.getelementptr %ticket[1] : (!llvm.ptr) -> !llvm.ptr, i64
  %woken = llvm.load %woken_at atomic monotonic {{alignment = 8 : i64}} : !llvm.ptr -> i64
  %missing = llvm.sub %helpers, %woken : i64
  %wake_at = llvm.getelementptr %ticket[{WAKE_WORD}] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %wake = llvm.load %wake_at : !llvm.ptr -> !llvm.ptr
  %object_at = llvm.getelementptr %ticket[{OBJECT_WORD}] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %object = llvm.load %object_at : !llvm.ptr -> !llvm.ptr
  %yield_at = llvm.getelementptr %ticket[{YIELD_WORD}] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %yield = llvm.load %yield_at : !llvm.ptr -> !llvm.ptr
  llvm.br ^more(%missing : i64)
^more(%left: i64):
  %some = llvm.icmp "sgt" %left, %zero : i64
  llvm.cond_br %some, ^wake, ^join
^wake:
  %before = llvm.atomicrmw add %woken_at, %one monotonic : !llvm.ptr, i64
  llvm.call %wake(%object) : !llvm.ptr, (!llvm.ptr) -> ()
  %rest = llvm.sub %left, %one : i64
  llvm.br ^more(%rest : i64)
^join:
  llvm.call @aecrt.work(%context) : (!llvm.ptr) -> ()
  %closed = llvm.atomicrmw sub %ticket, %open acq_rel : !llvm.ptr, i64
  llvm.br ^look
^look:
  %state = llvm.load %ticket atomic acquire {{alignment = 8 : i64}} : !llvm.ptr -> i64
  %busy = llvm.icmp "ne" %state, %zero : i64
  llvm.cond_br %busy, ^wait, ^done
^wait:
  %ignored = llvm.call %yield() : !llvm.ptr, () -> i32
  llvm.br ^look
^alone:
  llvm.store %one, %shares_at : i64, !llvm.ptr
  llvm.call @aecrt.work(%context) : (!llvm.ptr) -> ()
  llvm.br ^done
^done:
  %failed = llvm.load %failed_at atomic monotonic {{alignment = 8 : i64}} : !llvm.ptr -> i64
  %complete = llvm.icmp "eq" %failed, %zero : i64
  llvm.cond_br %complete, ^return, ^fail
^return:
  llvm.return
^fail:
  llvm.call @aecrt.fail() : () -> ()
  llvm.unreachable
}}
"""
