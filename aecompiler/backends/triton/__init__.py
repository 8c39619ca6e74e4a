"""What backends share that go through Triton's dialects: emission, the driver of its compiler, reports."""
