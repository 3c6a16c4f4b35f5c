"""elman beside the systems one would use instead: one process, same threads, answers compared before timing."""
