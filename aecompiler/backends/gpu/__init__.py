"""What backends of GPUs share: what a call does on the host, and the code that it launches."""
