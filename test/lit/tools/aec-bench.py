# RUN: aec-bench --list --bench-dir %S/Inputs/bench | FileCheck %s --check-prefix=LIST
# RUN: aec-bench product --repeat 2 --bench-dir %S/Inputs/bench --json %t.json | FileCheck %s
# RUN: FileCheck %s --check-prefix=JSON --input-file %t.json
# RUN: not aec-bench wrong-peer --repeat 2 --bench-dir %S/Inputs/bench 2>&1 | FileCheck %s --check-prefix=WRONG
# RUN: aec-bench --help | FileCheck %s --check-prefix=HELP

# LIST:      product/1x1x5x4/f32/cpu  (numpy)
# LIST-NEXT: wrong-peer/1x1x5x4/f32/cpu  (twice of it)

# CHECK: product/1x1x5x4/f32/cpu  ours {{.+}} ms  numpy {{.+}} ms  ratio {{.+}}  cost {{.+}}  (2 calls, {{.+}} threads)  error

# What a record says of how it was measured.
# JSON:      "case": "product"
# JSON:      "figures": {}
# JSON-NEXT: "error":
# JSON-NEXT: "repeat": 2
# JSON-NEXT: "cpu":
# JSON-NEXT: "threads":
# JSON-NEXT: "peer_threads": null
# JSON-NEXT: "versions":

# WRONG: aec-bench: wrong-peer/1x1x5x4/f32/cpu: wrong result, not timed: the peer is off by

# HELP: usage: aec-bench
# HELP: AECOMPILER_NUM_THREADS; torch gets as many
# HELP: aec-bench compile-time memory
# HELP: --repeat N
