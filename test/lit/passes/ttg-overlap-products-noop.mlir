// RUN: aec-opt %s --allow-unregistered-dialect --ttg-overlap-products | FileCheck %s
// RUN: not aec-opt %s --allow-unregistered-dialect --ttg-overlap-products=waits=never 2>&1 | FileCheck %s --check-prefix=WAITS

// WAITS: option 'waits' of pass 'ttg-overlap-products' expects one of at-use, at-end, together, got 'never'

// Without products nothing moves, arrivals neither.
// CHECK-LABEL: "tt.func"
// CHECK:         "ttng.arrive_barrier"
// CHECK-NEXT:    "test.use"
// CHECK-NEXT:    "tt.return"
!bar = !ttg.memdesc<1xi64, #ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%empty: !bar):
  %yes = arith.constant true
  "ttng.arrive_barrier"(%empty, %yes) {count = 1 : i32} : (!bar, i1) -> ()
  "test.use"() : () -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()
