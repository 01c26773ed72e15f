"""What is measured: rates as ratios in one run, latency, CPU and memory.  `python -m bench`; see README.md."""
