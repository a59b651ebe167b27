"""One module per question of the catalogue, one function per KPI."""
