"""The report of a job: one self-contained HTML page that a stranger understands."""
