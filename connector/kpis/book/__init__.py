"""What a KPI reads: the book, and how its frames are made."""
