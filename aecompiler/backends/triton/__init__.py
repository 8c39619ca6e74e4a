"""What backends share that emit Triton's dialects."""
