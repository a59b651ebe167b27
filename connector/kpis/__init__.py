"""KPIs: one module per question, one function per KPI. A KPI reads a Book and nothing else."""
