"""Code for AMD's chips: from one lane's program to LLVM IR, assembly and a code object."""
