"""KPIs: what they are, what they read, the questions they answer, and the cards made of them. A KPI reads a Book and nothing else."""
