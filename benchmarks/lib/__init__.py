"""What benchmarks share: turns, steps, errors."""
