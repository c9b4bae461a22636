"""What every call passes, from the outside in: `activity` (counts, logs, idleness), `errors` (errors become statuses),
`auth` (tokens)."""
