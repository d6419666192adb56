"""Which idea is worth keeping: the ablation behind docs/results.md (`make ablation`)."""
