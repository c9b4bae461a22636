"""Renders nothing but what it was given."""

import html
import json
import sys

request = json.load(sys.stdin)
print(f"<html>{html.escape(request['job'])} with {len(request['state']['trials'])} trials</html>")
