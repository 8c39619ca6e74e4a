// RUN: not aec-opt %s --attn-tile=block-q=0 2>&1 | FileCheck %s --check-prefix=QUERIES
// RUN: not aec-opt %s --attn-tile=block-kv=100000 2>&1 | FileCheck %s --check-prefix=KEYS
// RUN: not aec-opt %s --attn-tile=split-kv=0 2>&1 | FileCheck %s --check-prefix=SPLIT
// RUN: not aec-opt %s --attn-tile=rows-last=2 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: not aec-opt %s --attn-tile=decode-rows=-1 2>&1 | FileCheck %s --check-prefix=DECODE
// RUN: not aec-opt %s --attn-tile=masked-values=ignore 2>&1 | FileCheck %s --check-prefix=VALUES
// RUN: not aec-opt %s '--attn-tile=block-kv=64 retry-block-kv=48' 2>&1 | FileCheck %s --check-prefix=RETRY
// RUN: not aec-opt %s '--attn-tile=block-kv=64 retry-block-kv=-16' 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not aec-opt %s --attn-tile=score-ranges=4 2>&1 | FileCheck %s --check-prefix=RANGES
// RUN: not aec-opt %s --attn-tile=packed-rows=-1 2>&1 | FileCheck %s --check-prefix=PACKED
// RUN: not aec-opt %s --attn-tile=split-programs=100000 2>&1 | FileCheck %s --check-prefix=PROGRAMS
// RUN: not aec-opt %s '--attn-tile=block-q=32 packed-rows=16' 2>&1 | FileCheck %s --check-prefix=PACKED-QUERIES
// RUN: not aec-opt %s '--attn-tile=pack-gqa=true packed-rows=32 block-q=64' 2>&1 | FileCheck %s --check-prefix=PACKED-TWICE
// RUN: not aec-opt %s '--attn-tile=packed-rows=16 decode-rows=8' 2>&1 | FileCheck %s --check-prefix=PACKED-DECODE
// RUN: not aec-opt %s '--attn-tile=split-kv=4 split-programs=8' 2>&1 | FileCheck %s --check-prefix=SPLIT-TWICE

// DECODE: pass 'attn-tile': expects decode-rows to be 0 to 4096, got -1
// QUERIES: pass 'attn-tile': expects block-q to be 1 to 4096, got 0
// KEYS: pass 'attn-tile': expects block-kv to be 1 to 4096, got 100000
// SPLIT: pass 'attn-tile': expects split-kv to be 1 to 1024, got 0
// VALUES: option 'masked-values' of pass 'attn-tile' expects one of check-tiles, check-result, got 'ignore'
// RETRY: pass 'attn-tile': expects retry-block-kv to be a divisor of block-kv (64), got 48
// NEGATIVE: pass 'attn-tile': expects retry-block-kv to be a divisor of block-kv (64), got -16
// PACKED: pass 'attn-tile': expects packed-rows to be 0 to 4096, got -1
// PACKED-QUERIES: pass 'attn-tile': expects block-q to be 64 beside packed-rows, got 32
// PACKED-TWICE: pass 'attn-tile': expects pack-gqa to be false beside packed-rows, got true
// PACKED-DECODE: pass 'attn-tile': expects decode-rows to be 0 beside packed-rows, got 8
// SPLIT-TWICE: pass 'attn-tile': expects split-kv to be 1 beside split-programs, got 4
// PROGRAMS: pass 'attn-tile': expects split-programs to be 0 to 65536, got 100000
// RANGES: pass 'attn-tile': expects score-ranges to be 1 to 3, got 4
// ROWS: option 'rows-last' of pass 'attn-tile' expects true or false, got '2'
func.func @f() {
  return
}
